//! STOMP frames, for both sides.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::fuzz::stomp(bytes));
