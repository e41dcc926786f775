//! WebSocket frames as the load generator reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loadgen::fuzz::frames(bytes));
