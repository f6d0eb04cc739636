//! Fuzzes `stackkit::parsers::snapshot`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::snapshot(bytes));
