//! Fuzzes `stackkit::parsers::entry`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::entry(bytes));
