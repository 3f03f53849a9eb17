//! Compressing one message (RFC 7692 §7.2.1).

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

/// What a flushed stream ends with, and the receiver puts back.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

thread_local! {
    /// One for each window size that was asked for, from 9 to 15 bits.
    static COMPRESSORS: RefCell<[Option<Compress>; 7]> = const { RefCell::new([const { None }; 7]) };
}

/// `front` zeros, then the compressed payload; `None` when it would not be shorter.
pub(super) fn compress(payload: &[u8], window_bits: u8, front: usize) -> Option<Vec<u8>> {
    COMPRESSORS.with_borrow_mut(|compressors| {
        let slot = &mut compressors[usize::from(window_bits) - 9];
        let compressor = slot.get_or_insert_with(|| {
            // Measured on chat messages of 257 bytes: level 1 leaves 96 % of them in 4.9 µs, level 2 81 % in 8.2 µs,
            // and so do levels 3 to 9 in 9 µs; of 20 KB 12 % in 17 µs, 9 % in 35 µs, 9 % in 49 to 131 µs.
            Compress::new_with_window_bits(Compression::new(2), false, window_bits)
        });
        compressor.reset();
        // A buffer that is not full in the end proves both that the flush is complete and that the result is
        // shorter than the payload.
        let mut out = Vec::with_capacity(front + payload.len() + TAIL.len());
        out.resize(front, 0);
        compressor.compress_vec(payload, &mut out, FlushCompress::Sync).ok()?;
        if out.len() == out.capacity() || compressor.total_in() != payload.len() as u64 {
            return None;
        }
        out.truncate(out.strip_suffix(&TAIL)?.len());
        // It may wait in many queues.
        out.shrink_to_fit();
        Some(out)
    })
}
