//! Files that [SOPS](https://getsops.io) encrypted as sources of secrets for [StackKit](stackkit): they lie beside the
//! program in version control, and what is in them is read in every run and never kept.
//!
//! ```no_run
//! use stackkit::prelude::*;
//! use stackkit_sops::{Sops, SopsFile};
//!
//! #[stackkit::main(providers(Sops))]
//! async fn shop(stack: &mut Stack) -> Result<()> {
//!     let password = stack.data("db-password", SopsFile::new("secrets.yaml").field("database.password"));
//!     let token = stack.data("token", SopsFile::new("shop.env").field("API_TOKEN"));
//!     stack.add("db-password", local::SecretFile::new("password", &password.value));
//!     stack.add("token", local::SecretFile::new("token", &token.value));
//!     Ok(())
//! }
//! ```
//!
//! Files of YAML, JSON, dotenv and INI are read, and whole files of any kind (what SOPS calls binary). The data key of a
//! file opens with the private keys of age and SSH that are at hand, in the places where SOPS looks for them; all that are
//! there are tried:
//!
//! | where | what |
//! |---|---|
//! | `SOPS_AGE_KEY` | the text of private keys, for CI |
//! | `SOPS_AGE_KEY_FILE` | a file of them |
//! | `SOPS_AGE_SSH_PRIVATE_KEY_FILE` | a private key of SSH |
//! | `$XDG_CONFIG_HOME/sops/age/keys.txt`, or `~/.config/sops/age/keys.txt` | what `age-keygen` writes |
//! | `~/.ssh/id_ed25519`, `~/.ssh/id_rsa` | SSH keys that no passphrase protects |
//!
//! On macOS `~/Library/Application Support/sops/age/keys.txt` is looked for as well. The commands that SOPS runs for
//! `SOPS_AGE_KEY_CMD` and `SOPS_AGE_SSH_PRIVATE_KEY_CMD` are not run. A file whose key groups need several keys opens
//! where enough of them are at hand. Of key services those are asked whose features are on; keys of others, and of PGP, are
//! passed over.
//!
//! | feature | data keys that open with | who asks | default |
//! |---|---|---|---|
//! | `aws-kms` | a key of AWS KMS (`kms:Decrypt`); no role of the file's is assumed | the SDK's default chain | no |
//! | `vault` | a key of the transit engine of Vault or OpenBao (`update` on `MOUNT/decrypt/KEY`) | `BAO_ADDR` and `BAO_TOKEN`, as of `stackkit-vault`; never the address in the file | no |
//!
//! # What is checked
//!
//! Every value is authenticated under its path, and the file as a whole by its MAC, before anything of it is used: a value
//! that was changed, moved, added or taken away is refused. A value that is not encrypted is covered by the MAC, but not its
//! name; where the file's MAC covers encrypted values only (`mac_only_encrypted`), such a value is not given out. Whoever may
//! write the file and knows a recipient's public key can replace it by a whole new one, as with SOPS itself: that is what
//! reviews are for.
//!
//! | module | what it holds |
//! |---|---|
//! | `provider` | [`Sops`], the provider `sops` |
//! | `file` | [`SopsFile`], the look-up |
//! | `format` | [`Format`], and reading each of them into a tree |
//! | `path` | which part of a file is meant |
//! | `document` | opening a file: values, then the MAC |
//! | `metadata` | what SOPS says of a file in it: keys, MAC, what is encrypted |
//! | `keys` | the private keys at hand, and the data key |
//! | `service` | keys of services |
//! | `cipher`, `shamir` | one value; parts of a data key |

mod cipher;
mod document;
mod file;
mod format;
mod keys;
mod metadata;
mod path;
mod problem;
mod provider;
mod service;
mod shamir;
mod tree;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod parsers;

#[cfg(test)]
mod hostile;

pub use file::{SopsFile, SopsFileArgs, SopsFileOutputs, SopsFileState};
pub use format::Format;
pub use provider::Sops;
