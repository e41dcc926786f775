//! Length-prefixed frames of the raw TCP transport.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::fuzz::frames(bytes));
