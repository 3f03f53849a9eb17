//! See `fuzz::codec`.

#![no_main]

libfuzzer_sys::fuzz_target!(|attempt: &[u8]| fuzz::codec(attempt));
