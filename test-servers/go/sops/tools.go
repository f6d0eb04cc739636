//go:build tools

// Package tools names the command that this module pins, so that `go mod tidy` keeps what it needs.
package tools

import _ "github.com/getsops/sops/v3/cmd/sops"
