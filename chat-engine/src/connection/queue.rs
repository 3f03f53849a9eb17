//! What waits to be written to one client: bounded in bytes.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};

/// What a frame takes besides its bytes: very many small ones must not take more memory than a few long ones.
const OVERHEAD: usize = size_of::<Bytes>();

/// The queue of one connection: whole WebSocket frames, the first of which may have begun. It has no memory of its own
/// while it is empty.
#[derive(Debug, Default)]
pub(super) struct Queue {
    frames: VecDeque<Bytes>,
    /// Frames that were taken and not yet reported as written.
    taken: usize,
    /// Also of what was taken.
    bytes: usize,
    /// Bytes that have left it, in all.
    written: u64,
}

impl Queue {
    /// Whether a frame of so many bytes may wait, too.
    pub(super) fn has_room(&self, length: usize, limit: usize) -> bool {
        let waiting = self.frames.len() + self.taken;
        waiting == 0 || self.bytes + length + (waiting + 1) * OVERHEAD <= limit
    }

    /// Queues a frame unless more than `limit` bytes would wait; whether it did. One frame may wait however long it
    /// is.
    pub(super) fn push(&mut self, frame: Bytes, limit: usize) -> bool {
        let room = self.has_room(frame.len(), limit);
        if room {
            self.push_unbounded(frame);
        }
        room
    }

    /// Queues a frame that must be said: why the connection ends.
    pub(super) fn push_unbounded(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes that were written, in all; what is being written at the moment is not among them.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many that will be when everything here was written.
    pub(super) fn end(&self) -> u64 {
        self.written + self.bytes as u64
    }

    /// Takes every frame, to be written without a lock. [`put_back`](Self::put_back) ends it.
    pub(super) fn take(&mut self) -> VecDeque<Bytes> {
        self.taken = self.frames.len();
        std::mem::take(&mut self.frames)
    }

    /// Ends a [`take`](Self::take): so many bytes were written, and this is left. What was queued meanwhile comes
    /// behind it.
    pub(super) fn put_back(&mut self, mut left: VecDeque<Bytes>, written: usize) {
        self.bytes -= written;
        self.written += written as u64;
        self.taken = 0;
        if !left.is_empty() {
            left.append(&mut self.frames);
            self.frames = left;
        }
    }

    /// Drops what is queued, but for the rest of a frame whose beginning was written.
    pub(super) fn clear(&mut self, keep_first: bool) {
        let mut frames = std::mem::take(&mut self.frames);
        self.abandon(&mut frames, keep_first);
        self.frames = frames;
    }

    /// The same with frames that were taken.
    pub(super) fn abandon(&mut self, frames: &mut VecDeque<Bytes>, keep_first: bool) {
        for frame in frames.drain(usize::from(keep_first).min(frames.len())..) {
            self.bytes -= frame.len();
        }
    }
}

/// Takes `written` bytes off the front of `frames`. Whether the first frame that is left has begun.
pub(super) fn advance(frames: &mut VecDeque<Bytes>, mut written: usize) -> bool {
    while let Some(first) = frames.front_mut() {
        if written < first.len() {
            first.advance(written);
            return written > 0;
        }
        written -= first.len();
        frames.pop_front();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Bytes {
        vec![b'x'; length].into()
    }

    /// Three frames of 10,000 bytes in all.
    const LIMIT: usize = 10_000 + 3 * OVERHEAD;

    #[test]
    fn bytes_are_bounded_until_they_are_written() {
        let mut queue = Queue::default();
        assert!(queue.push(frame(6_000), LIMIT));
        let mut taken = queue.take();
        // Taken is not written.
        assert!(!queue.push(frame(5_000), LIMIT));
        assert!(queue.push(frame(4_000), LIMIT));
        assert_eq!((queue.written(), queue.end()), (0, 10_000));
        assert!(advance(&mut taken, 2_000));
        queue.put_back(taken, 2_000);
        assert!(queue.push(frame(2_000), LIMIT));
        assert_eq!((queue.written(), queue.end()), (2_000, 12_000));
        let lengths: Vec<_> = queue.take().iter().map(Bytes::len).collect();
        assert_eq!(lengths, [4_000, 4_000, 2_000]);
    }

    #[test]
    fn very_many_small_frames_are_bounded_too() {
        let mut queue = Queue::default();
        let queued = (1..1_000).take_while(|_| queue.push(frame(2), LIMIT)).count();
        assert_eq!(queued, LIMIT / (2 + OVERHEAD));
    }

    #[test]
    fn what_is_cleared_leaves_room_and_a_frame_that_has_begun_stays() {
        let mut queue = Queue::default();
        (0..3).for_each(|_| assert!(queue.push(frame(3_000), LIMIT)));
        queue.clear(true);
        assert_eq!((queue.is_empty(), queue.end()), (false, 3_000));
        queue.clear(false);
        assert_eq!((queue.is_empty(), queue.end()), (true, 0));
        assert!(queue.push(frame(10_000), LIMIT));
    }

    #[test]
    fn whole_frames_leave_and_a_part_stays() {
        let mut frames: VecDeque<_> = [frame(3), frame(3)].into();
        assert!(!advance(&mut frames, 3));
        assert!(advance(&mut frames, 1));
        assert_eq!((frames.len(), frames[0].len()), (1, 2));
        assert!(!advance(&mut frames, 2));
        assert!(frames.is_empty());
    }
}
