//! Queries, cursors and rooms of requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::fuzz::query(bytes));
