//! See `fuzz::session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|attempt: &[u8]| fuzz::session(attempt));
