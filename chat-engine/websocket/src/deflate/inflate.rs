//! Decompressing one message as it comes (RFC 7692 §7.2.2).

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use crate::Violation;

/// What the sender took off the end of a message, then an empty block that is the last of its stream. Behind a
/// whole message this ends the stream and nothing comes out; within a message that was cut short it does not.
const ENDING: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// Inflaters that a thread keeps for its next messages. More are in use only while messages arrive in pieces.
const POOLED: usize = 4;

thread_local! {
    #[expect(clippy::vec_box, reason = "a connection holds the box, not the inflater")]
    static POOL: RefCell<Vec<Box<Inflater>>> = const { RefCell::new(Vec::new()) };
}

/// The decompression of the current message. Holds an inflater (up to 48 KiB) from the first compressed byte of a
/// message to its end, and none in between.
#[derive(Debug, Default)]
pub(crate) struct Inflation(Option<Box<Inflater>>);

#[derive(Debug)]
struct Inflater {
    stream: Decompress,
    /// Compressed bytes of the message so far.
    compressed: usize,
    /// Something came in since the stream began.
    begun: bool,
}

impl Inflation {
    /// Compressed bytes that the message may still bring, when it may have `limit` bytes after decompression.
    ///
    /// No sane compressor lengthens a message by half. Without a bound a peer could send one message for ever that
    /// decompresses to nothing.
    pub(crate) fn room(&self, limit: usize) -> usize {
        let compressed = self.0.as_ref().map_or(0, |inflater| inflater.compressed);
        limit.saturating_mul(2).saturating_add(1024).saturating_sub(compressed)
    }

    /// What the next bytes of a message stand for, and whether there is something wrong behind it. `received` is
    /// what came out of the message before, `limit` what may come out of it as a whole: no more than that is ever
    /// decompressed (but for the one byte that tells).
    pub(crate) fn inflate(
        &mut self,
        input: &[u8],
        received: usize,
        limit: usize,
        last: bool,
    ) -> (Vec<u8>, Result<(), Violation>) {
        let inflater = self.0.get_or_insert_with(Inflater::take);
        inflater.compressed += input.len();
        let room = limit - received;
        let mut out = Vec::new();
        let mut outcome = inflater.inflate(input, room, &mut out);
        if out.len() > room {
            out.truncate(room);
            outcome = Err(Violation::TooLong(limit));
        }
        if last && outcome.is_ok() {
            outcome = inflater.finish();
            self.give_back();
        }
        (out, outcome)
    }

    fn give_back(&mut self) {
        let Some(inflater) = self.0.take() else { return };
        // While a thread ends its pool may be gone before its connections are.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED {
                pool.push(inflater);
            }
        });
    }
}

impl Drop for Inflation {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Inflater {
    fn take() -> Box<Self> {
        match POOL.with_borrow_mut(Vec::pop) {
            Some(mut inflater) => {
                inflater.restart();
                inflater.compressed = 0;
                inflater
            }
            None => Box::new(Self { stream: Decompress::new(false), compressed: 0, begun: false }),
        }
    }

    fn restart(&mut self) {
        self.stream.reset(false);
        self.begun = false;
    }

    /// Appends what `input` stands for, up to one byte more than there is `room` for.
    fn inflate(&mut self, mut input: &[u8], room: usize, out: &mut Vec<u8>) -> Result<(), Violation> {
        while !input.is_empty() || out.len() == out.capacity() {
            if out.len() > room {
                return Ok(());
            }
            if out.len() == out.capacity() {
                // Text shrinks to a quarter or so; from there it doubles.
                let size = (out.len() * 2).max(input.len().saturating_mul(4)).max(64);
                out.reserve_exact(size.min(room.saturating_add(1)) - out.len());
            }
            let (came_in, went_out) = (self.stream.total_in(), out.len());
            let status = self.stream.decompress_vec(input, out, FlushDecompress::None);
            let status = status.map_err(|_| Violation::NotDeflate)?;
            let used = usize::try_from(self.stream.total_in() - came_in).unwrap_or(input.len());
            input = &input[used..];
            self.begun |= used > 0;
            if status == Status::StreamEnd {
                // RFC 7692 §7.2.1 lets a block be marked as the last one with others behind it; they do not refer
                // back past it in any implementation, as they come from a fresh compressor.
                self.restart();
            } else if used == 0 && out.len() == went_out {
                break;
            }
        }
        if input.is_empty() { Ok(()) } else { Err(Violation::NotDeflate) }
    }

    /// Checks that a message does not end within a block.
    fn finish(&mut self) -> Result<(), Violation> {
        // Nothing behind a block that was marked as the last one, or no bytes at all: sloppy but harmless.
        if !self.begun {
            return Ok(());
        }
        // There is no room for output, so that a message which goes on cannot come to this end.
        match self.stream.decompress(&ENDING, &mut [], FlushDecompress::None) {
            Ok(Status::StreamEnd) => Ok(()),
            _ => Err(Violation::NotDeflate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataKind, Deflate};

    /// The payload of a message of `length` zeros.
    fn zeros(length: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        let shorter =
            Deflate::default().compress_masked(DataKind::Binary, &vec![0; length], [0; 4], &mut frame);
        assert!(shorter && frame[1] == 0x80 | 0x7e, "a header with a length of two bytes and a key");
        frame.split_off(8)
    }

    #[test]
    fn no_more_of_a_bomb_is_decompressed_than_tells_that_it_is_one() {
        let bomb = zeros(1 << 20);
        let mut inflation = Inflation::default();
        let (out, outcome) = inflation.inflate(&bomb, 500, 1500, true);
        assert_eq!(outcome, Err(Violation::TooLong(1500)));
        assert_eq!(out, [0; 1000]);
        assert_eq!(out.capacity(), 1001);
        assert_eq!(inflation.0.as_ref().unwrap().stream.total_out(), 1001);
    }

    #[test]
    fn an_inflater_is_held_within_a_message_only_and_used_again() {
        POOL.with_borrow_mut(Vec::clear);
        let pooled = || POOL.with_borrow(Vec::len);
        let message = zeros(1 << 20);
        let (first, second) = message.split_at(100);
        let mut inflation = Inflation::default();
        for _ in 0..3 {
            assert!(inflation.inflate(first, 0, 1 << 20, false).1.is_ok());
            assert!(inflation.0.is_some() && pooled() == 0);
            let (out, outcome) = inflation.inflate(second, 0, 1 << 20, true);
            assert!(outcome.is_ok() && out.len() > 900_000);
            assert!(inflation.0.is_none() && pooled() == 1);
        }
        inflation.inflate(first, 0, 1 << 20, false).1.unwrap();
        drop(inflation);
        assert_eq!(pooled(), 1, "a connection that is lost within a message gives it back too");
        let many: [Inflation; POOLED + 2] = std::array::from_fn(|_| {
            let mut inflation = Inflation::default();
            inflation.inflate(first, 0, 1 << 20, false).1.unwrap();
            inflation
        });
        drop(many);
        assert_eq!(pooled(), POOLED, "the pool does not grow with a crowd");
    }
}
