//! Fuzzes `stackkit::parsers::value`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::value(bytes));
