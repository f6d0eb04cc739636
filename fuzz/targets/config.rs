//! Fuzzes `stackkit::parsers::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::config(bytes));
