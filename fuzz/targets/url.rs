//! Fuzzes `stackkit::parsers::url`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::url(bytes));
