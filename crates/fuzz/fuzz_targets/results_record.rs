//! The record of a run in a results folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| results::fuzz::record(bytes));
