//! Fuzzes `stackkit::parsers::record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::record(bytes));
