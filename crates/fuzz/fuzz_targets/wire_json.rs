//! Items and posts in JSON: what the server takes as a post, too.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::fuzz::json(bytes));
