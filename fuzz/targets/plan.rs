//! Fuzzes `stackkit::parsers::plan`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::plan(bytes));
