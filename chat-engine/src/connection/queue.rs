//! What waits to be written to one client: bounded in bytes, and knowing what was not written.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use shared::Seq;

use crate::room::SubscriberId;

/// Which subscription's record a frame is.
pub type Mark = (SubscriberId, Seq);

/// A frame on its way.
#[derive(Debug)]
pub struct Outgoing {
    /// A whole WebSocket frame, or what is left of it.
    pub frame: Bytes,
    /// To know what reached the client when the connection ends.
    pub mark: Option<Mark>,
}

impl From<Bytes> for Outgoing {
    fn from(frame: Bytes) -> Self {
        Self { frame, mark: None }
    }
}

/// What a frame takes besides its bytes: very many small ones must not take more memory than a few long ones.
const OVERHEAD: usize = size_of::<Outgoing>();

/// The queue of one connection. It has no memory of its own while it is empty.
#[derive(Debug, Default)]
pub(super) struct Queue {
    frames: VecDeque<Outgoing>,
    /// Frames that were taken and not yet reported as written.
    taken: usize,
    /// Also of what was taken.
    bytes: usize,
    /// Records that were queued and never written: each subscription's first.
    unwritten: Vec<Mark>,
}

impl Queue {
    /// Whether a frame of so many bytes may wait, too.
    pub(super) fn has_room(&self, length: usize, limit: usize) -> bool {
        let waiting = self.frames.len() + self.taken;
        waiting == 0 || self.bytes + length + (waiting + 1) * OVERHEAD <= limit
    }

    /// Queues a frame unless more than `limit` bytes would wait; whether it did. One frame may wait however long it
    /// is.
    pub(super) fn push(&mut self, outgoing: Outgoing, limit: usize) -> bool {
        if !self.has_room(outgoing.frame.len(), limit) {
            self.give_up(outgoing.mark);
            return false;
        }
        self.push_unbounded(outgoing);
        true
    }

    /// Queues a frame that must be said: why the connection ends.
    pub(super) fn push_unbounded(&mut self, outgoing: Outgoing) {
        self.bytes += outgoing.frame.len();
        self.frames.push_back(outgoing);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes every frame, to be written without a lock. [`put_back`](Self::put_back) ends it.
    pub(super) fn take(&mut self) -> VecDeque<Outgoing> {
        self.taken = self.frames.len();
        std::mem::take(&mut self.frames)
    }

    /// Ends a [`take`](Self::take): so many bytes were written, and this is left. What was queued meanwhile comes
    /// behind it.
    pub(super) fn put_back(&mut self, mut left: VecDeque<Outgoing>, written: usize) {
        self.bytes -= written;
        self.taken = 0;
        if !left.is_empty() {
            left.append(&mut self.frames);
            self.frames = left;
        }
    }

    /// Notes that a record will not be written.
    pub(super) fn give_up(&mut self, mark: Option<Mark>) {
        if let Some((subscriber, seq)) = mark {
            match self.unwritten.iter_mut().find(|(other, _)| *other == subscriber) {
                Some((_, first)) => *first = seq.min(*first),
                None => self.unwritten.push((subscriber, seq)),
            }
        }
    }

    /// Drops what is queued, but for the rest of a frame whose beginning was written.
    pub(super) fn clear(&mut self, keep_first: bool) {
        let mut frames = std::mem::take(&mut self.frames);
        self.abandon(&mut frames, keep_first);
        self.frames = frames;
    }

    /// The same with frames that were taken.
    pub(super) fn abandon(&mut self, frames: &mut VecDeque<Outgoing>, keep_first: bool) {
        for outgoing in frames.drain(usize::from(keep_first).min(frames.len())..) {
            self.bytes -= outgoing.frame.len();
            self.give_up(outgoing.mark);
        }
    }

    /// The place that a subscription's client is known to have got to; `None` if everything was written.
    pub(super) fn reached(&self, subscriber: SubscriberId) -> Option<Seq> {
        let (_, first) = self.unwritten.iter().find(|(other, _)| *other == subscriber)?;
        Seq::from_raw(first.get() - 1)
    }
}

/// Takes `written` bytes off the front of `frames`. Whether the first frame that is left has begun.
pub(super) fn advance(frames: &mut VecDeque<Outgoing>, mut written: usize) -> bool {
    while let Some(first) = frames.front_mut() {
        if written < first.frame.len() {
            first.frame.advance(written);
            return written > 0;
        }
        written -= first.frame.len();
        frames.pop_front();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SubscriberId = SubscriberId(1);

    fn marked(length: usize, seq: i64) -> Outgoing {
        let mark = Some((ID, Seq::from_raw(seq).unwrap()));
        Outgoing { frame: vec![b'x'; length].into(), mark }
    }

    /// Three frames of 10,000 bytes in all.
    const LIMIT: usize = 10_000 + 3 * OVERHEAD;

    #[test]
    fn bytes_are_bounded_until_they_are_written() {
        let mut queue = Queue::default();
        assert!(queue.push(marked(6_000, 1), LIMIT));
        let mut taken = queue.take();
        // Taken is not written.
        assert!(!queue.push(marked(5_000, 2), LIMIT));
        assert!(queue.push(marked(4_000, 3), LIMIT));
        assert!(advance(&mut taken, 2_000));
        queue.put_back(taken, 2_000);
        assert!(queue.push(marked(2_000, 4), LIMIT));
        let lengths: Vec<_> = queue.take().iter().map(|outgoing| outgoing.frame.len()).collect();
        assert_eq!(lengths, [4_000, 4_000, 2_000]);
        assert_eq!(queue.reached(ID), Seq::from_raw(1));
    }

    #[test]
    fn very_many_small_frames_are_bounded_too() {
        let mut queue = Queue::default();
        let queued = (1..1_000).take_while(|seq| queue.push(marked(2, *seq), LIMIT)).count();
        assert_eq!(queued, LIMIT / (2 + OVERHEAD));
    }

    #[test]
    fn what_is_cleared_did_not_reach_the_client() {
        let mut queue = Queue::default();
        (5..8).for_each(|seq| assert!(queue.push(marked(3_000, seq), LIMIT)));
        queue.clear(true);
        assert_eq!(queue.reached(ID), Seq::from_raw(5));
        assert!(!queue.is_empty());
        queue.clear(false);
        assert_eq!(queue.reached(ID), Seq::from_raw(4));
        assert!(queue.push(marked(10_000, 9), LIMIT));
    }

    #[test]
    fn whole_frames_leave_and_a_part_stays() {
        let mut frames: VecDeque<_> = [marked(3, 1), marked(3, 2)].into();
        assert!(!advance(&mut frames, 3));
        assert!(advance(&mut frames, 1));
        assert_eq!((frames.len(), frames[0].frame.len()), (1, 2));
        assert!(!advance(&mut frames, 2));
        assert!(frames.is_empty());
    }
}
