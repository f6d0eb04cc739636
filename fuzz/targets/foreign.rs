//! Fuzzes `stackkit::parsers::foreign`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::foreign(bytes));
