//! Fuzzes `stackkit::parsers::header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::header(bytes));
