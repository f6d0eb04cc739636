//! Fuzzes `stackkit::parsers::key`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::key(bytes));
