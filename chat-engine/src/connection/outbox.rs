//! A connection's outbound queue, bounded in bytes. Whoever has a frame for the client puts it here and never
//! waits; the connection's task writes all that is due at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use shared::Seq;

use super::CloseReason;
use crate::room::SubscriberId;

/// Which subscription's record a frame is.
pub type Mark = (SubscriberId, Seq);

/// A frame on its way.
#[derive(Debug)]
pub struct Outgoing {
    /// A whole STOMP frame.
    pub frame: Bytes,
    /// To know what reached the client when the connection ends.
    pub mark: Option<Mark>,
}

impl From<Bytes> for Outgoing {
    fn from(frame: Bytes) -> Self {
        Self { frame, mark: None }
    }
}

/// The queue.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    task: AtomicWaker,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Outgoing>,
    queued_bytes: usize,
    /// Answers that the client is owed: what it asked for is still being done.
    owed: usize,
    closing: Option<CloseReason>,
    /// Records that were queued and never written: each subscription's first.
    unwritten: HashMap<SubscriberId, Seq>,
}

/// An answer that a client is owed. Whoever has it queues the answer and drops it; DISCONNECT waits for all.
#[derive(Debug)]
#[must_use = "dropped, the answer counts as given"]
pub struct Owed(Arc<Outbox>);

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.state.lock().owed -= 1;
        self.0.task.wake();
    }
}

/// What the connection's task does next.
#[derive(Debug)]
pub(super) enum Next {
    Write(Outgoing),
    /// Nothing more comes: close.
    Close(CloseReason),
}

impl Outbox {
    /// A queue of at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), task: AtomicWaker::new(), max_bytes }
    }

    /// Queues a frame. A client too slow for its queue is closed: nothing is dropped silently.
    pub fn push(&self, outgoing: Outgoing) {
        let mut state = self.state.lock();
        if state.closing.is_some() {
            state.give_up(outgoing.mark);
            return;
        }
        if state.queued_bytes + outgoing.frame.len() > self.max_bytes {
            state.give_up(outgoing.mark);
            while let Some(outgoing) = state.queue.pop_front() {
                state.give_up(outgoing.mark);
            }
            state.queued_bytes = 0;
            state.closing = Some(CloseReason::TooSlow);
        } else {
            state.queued_bytes += outgoing.frame.len();
            state.queue.push_back(outgoing);
        }
        drop(state);
        self.task.wake();
    }

    /// Closes the connection after what is queued. The first reason stands.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        if state.closing.is_none() {
            if reason.has_error() {
                let message = if reason.reconnect() { "reconnect" } else { "closed" };
                state.queue.push_back(super::frames::error(message, reason.text(), None).into());
            }
            state.closing = Some(reason);
        }
        drop(state);
        self.task.wake();
    }

    /// Something is being done for the client, until the result is dropped.
    pub(super) fn owe(self: &Arc<Self>) -> Owed {
        self.state.lock().owed += 1;
        Owed(self.clone())
    }

    /// Whether nothing is being done for the client any more, and everything there is to tell of it is queued.
    pub(super) fn is_settled(&self) -> bool {
        self.state.lock().owed == 0
    }

    /// Whether the client has been too slow. Asked before the socket, which is full then; the task is woken for it.
    pub(super) fn is_too_slow(&self, context: &Context<'_>) -> bool {
        self.task.register(context.waker());
        self.state.lock().closing == Some(CloseReason::TooSlow)
    }

    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<Next> {
        self.task.register(context.waker());
        let mut state = self.state.lock();
        if let Some(outgoing) = state.queue.pop_front() {
            state.queued_bytes = state.queued_bytes.saturating_sub(outgoing.frame.len());
            if state.queue.is_empty() {
                // Memory is held only while something waits.
                state.queue = VecDeque::new();
            }
            return Poll::Ready(Next::Write(outgoing));
        }
        state.closing.map_or(Poll::Pending, |reason| Poll::Ready(Next::Close(reason)))
    }

    /// Notes that a record was taken from the queue and did not reach the socket.
    pub(super) fn not_written(&self, mark: Mark) {
        self.state.lock().give_up(Some(mark));
    }

    /// The connection is over: what is still queued, and what comes, is not written.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.closing.get_or_insert(CloseReason::Disconnected);
        while let Some(outgoing) = state.queue.pop_front() {
            state.give_up(outgoing.mark);
        }
    }

    /// The place that a subscription's client is known to have got to; `None` if everything was written. Asked
    /// by the one who queues that subscription's records, so that none comes in between.
    pub fn reached(&self, subscriber: SubscriberId) -> Option<Seq> {
        let first = self.state.lock().unwritten.get(&subscriber).copied()?;
        Seq::from_raw(first.get() - 1)
    }
}

impl State {
    fn give_up(&mut self, mark: Option<Mark>) {
        if let Some((subscriber, seq)) = mark {
            let first = self.unwritten.entry(subscriber).or_insert(seq);
            *first = seq.min(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn marked(length: usize, seq: i64) -> Outgoing {
        let mark = Some((SubscriberId(1), Seq::from_raw(seq).unwrap()));
        Outgoing { frame: vec![b'x'; length].into(), mark }
    }

    fn next(outbox: &Outbox) -> Poll<Next> {
        outbox.poll_next(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn too_slow_is_closed_and_knows_what_was_not_written() {
        let outbox = Outbox::new(10);
        outbox.push(marked(5, 1));
        assert!(matches!(next(&outbox), Poll::Ready(Next::Write(_))));
        outbox.push(marked(6, 2));
        outbox.push(marked(6, 3));
        assert!(matches!(next(&outbox), Poll::Ready(Next::Close(CloseReason::TooSlow))));
        assert_eq!(outbox.reached(SubscriberId(1)), Seq::from_raw(1));
    }

    #[test]
    fn closing_comes_after_what_is_queued() {
        let outbox = Outbox::new(10);
        outbox.push(marked(5, 1));
        outbox.close(CloseReason::GoingAway);
        outbox.close(CloseReason::TokenExpired);
        assert!(matches!(next(&outbox), Poll::Ready(Next::Write(frame)) if frame.mark.is_some()));
        assert!(
            matches!(next(&outbox), Poll::Ready(Next::Write(frame)) if frame.frame.starts_with(b"ERROR\n"))
        );
        assert!(matches!(next(&outbox), Poll::Ready(Next::Close(CloseReason::GoingAway))));
    }
}
