//! Fuzzes `stackkit_age::parsers::age`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stackkit_age::parsers::age(bytes));
