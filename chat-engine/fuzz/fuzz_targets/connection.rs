//! See `fuzz::connection`.

#![no_main]

libfuzzer_sys::fuzz_target!(|attempt: &[u8]| fuzz::connection(attempt));
