//! Fuzzes `stackkit::parsers::audit`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit::parsers::audit(bytes));
