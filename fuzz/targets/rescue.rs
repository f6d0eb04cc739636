//! Fuzzes `stackkit::parsers::rescue`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::rescue(bytes));
