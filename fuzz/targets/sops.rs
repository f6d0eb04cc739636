//! Fuzzes `stackkit_sops::parsers::sops`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit_sops::parsers::sops(bytes));
