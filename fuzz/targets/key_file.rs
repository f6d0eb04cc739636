//! Fuzzes `stackkit::parsers::key_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::key_file(bytes));
