//! Items in the binary encoding.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::fuzz::binary(bytes));
