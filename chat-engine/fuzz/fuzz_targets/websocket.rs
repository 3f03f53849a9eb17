//! See `fuzz::websocket`.

#![no_main]

libfuzzer_sys::fuzz_target!(|attempt: &[u8]| fuzz::websocket(attempt));
