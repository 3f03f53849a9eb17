//! A connection's way out: its queue, and the socket that it empties into.
//!
//! Whoever has frames for many clients queues them in a [`Batch`](super::Batch) and hands the connections to their
//! [flushers](super::flusher): all that is due leaves in one write, and no task is woken for it. Only what the socket
//! does not take at once is left to the connection's own task.

mod acknowledged;
mod writing;

use std::{
    net::Shutdown,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Context,
    time::Instant,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use socket2::SockRef;
use stomp::{ByteString, Version};
use tokio::net::{TcpStream, tcp::OwnedWriteHalf};
use websocket::Deflate;

use super::{
    CloseReason,
    flusher::Flusher,
    frames,
    in_flight::{InFlight, Mark},
    queue::Queue,
};
use crate::room::SubscriberId;
pub(super) use writing::SocketState;

/// A frame on its way.
#[derive(Debug)]
pub struct Outgoing {
    /// A whole WebSocket frame.
    pub frame: Bytes,
    /// To know how far the client got when the connection ends.
    pub mark: Option<Mark>,
}

impl From<Bytes> for Outgoing {
    fn from(frame: Bytes) -> Self {
        Self { frame, mark: None }
    }
}

/// The way out.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    task: AtomicWaker,
    socket: OwnedWriteHalf,
    pub(super) flusher: Arc<Flusher>,
    max_bytes: usize,
    /// An ERROR says why it is closed.
    speaks_stomp: bool,
    deflate: Option<Deflate>,
    version: OnceLock<Version>,
    /// When something was last written, in milliseconds since `EPOCH`.
    written_at: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    in_flight: InFlight,
    /// Answers that the client is owed: what it asked for is still being done.
    owed: u32,
    closing: Option<CloseReason>,
    /// Rooms that the client was taken out of: its task tells it.
    expulsions: Vec<Expulsion>,
    /// Somebody writes what was taken from the queue, without the lock.
    writing: bool,
    /// The socket took a part of the first frame.
    begun: bool,
    socket: SocketState,
}

/// A subscription to a room that the client has lost. Nothing of the room is queued behind this.
#[derive(Debug)]
pub struct Expulsion {
    /// Which.
    pub subscriber: SubscriberId,
    /// Why.
    pub reason: CloseReason,
    /// Of the SUBSCRIBE, if that had not been answered yet.
    pub receipt: Option<ByteString>,
}

/// An answer that a client is owed. Whoever has it queues the answer and drops it; DISCONNECT waits for all.
#[derive(Debug)]
#[must_use = "dropped, the answer counts as given"]
pub struct Owed(Arc<Outbox>);

impl Owed {
    /// Where the answer is to be queued.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.0
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.state.lock().owed -= 1;
        self.0.task.wake();
    }
}

/// Where a connection's way out stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) closing: Option<CloseReason>,
    /// Everything queued was written.
    pub(super) drained: bool,
    pub(super) socket: SocketState,
    /// There are expulsions to be taken.
    pub(super) expelled: bool,
    /// Nothing is being done for the client any more, and everything there is to tell of it is queued.
    pub(super) settled: bool,
}

/// Milliseconds of [`Outbox::written_at`] count from here.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

fn milliseconds_now() -> u64 {
    u64::try_from(epoch().elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Outbox {
    /// A queue of at most `max_bytes` before `socket`.
    pub(super) fn new(
        socket: OwnedWriteHalf,
        flusher: Arc<Flusher>,
        max_bytes: usize,
        deflate: Option<Deflate>,
    ) -> Self {
        Self {
            state: Mutex::default(),
            task: AtomicWaker::new(),
            socket,
            flusher,
            max_bytes,
            speaks_stomp: true,
            deflate,
            version: OnceLock::new(),
            written_at: AtomicU64::new(milliseconds_now()),
        }
    }

    /// For a client that does not know what an ERROR is.
    pub(super) fn without_stomp(self) -> Self {
        Self { speaks_stomp: false, ..self }
    }

    /// The client speaks this version from now on.
    pub(super) fn set_version(&self, version: Version) {
        // Agreed on once.
        let _ = self.version.set(version);
    }

    /// The version that the client speaks. What is said before one is agreed on is the same in all of them.
    pub fn version(&self) -> Version {
        self.version.get().copied().unwrap_or(Version::V12)
    }

    /// The compression agreed on.
    pub fn deflate(&self) -> Option<Deflate> {
        self.deflate
    }

    /// When something was last written.
    pub(super) fn last_write(&self) -> Instant {
        epoch() + std::time::Duration::from_millis(self.written_at.load(Ordering::Relaxed))
    }

    /// Queues a frame; whether somebody has to [`flush`](Self::flush) for it. A client too slow for its queue is
    /// closed: nothing is dropped silently.
    #[must_use = "the frame waits for a flush"]
    pub(super) fn push(&self, Outgoing { frame, mark }: Outgoing) -> bool {
        let mut state = self.lock_with_room(frame.len());
        let idle = state.queue.is_empty() && !state.writing;
        let closing = state.closing.is_some();
        if !closing && state.queue.push(frame, self.max_bytes) {
            if let Some(mark) = mark {
                self.note(&mut state, mark);
            }
            return idle && state.socket == SocketState::Open;
        }
        if let Some(mark) = mark {
            state.in_flight.give_up(mark);
        }
        if closing {
            return false;
        }
        self.close_locked(&mut state, CloseReason::TooSlow);
        drop(state);
        self.task.wake();
        false
    }

    /// Takes the lock when so many bytes may wait, or the client does not take what waits already. What a socket
    /// would take and was not offered yet makes nobody slow, however much came at once.
    fn lock_with_room(&self, length: usize) -> MutexGuard<'_, State> {
        loop {
            let state = self.state.lock();
            let slow = state.closing.is_some() || state.socket != SocketState::Open;
            if slow || state.queue.has_room(length, self.max_bytes) {
                return state;
            }
            let written_elsewhere = state.writing;
            drop(state);
            if written_elsewhere {
                // Without this lock, and without waiting for anything: it is over in microseconds.
                std::thread::yield_now();
            } else {
                self.flush();
            }
        }
    }

    /// Queues a frame that the connection's task writes.
    pub fn push_for_task(&self, frame: Bytes) {
        if self.push(frame.into()) {
            self.task.wake();
        }
    }

    /// Closes the connection after what is queued. The first reason stands.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        if state.closing.is_none() {
            self.close_locked(&mut state, reason);
        }
        drop(state);
        self.task.wake();
    }

    fn close_locked(&self, state: &mut MutexGuard<'_, State>, reason: CloseReason) {
        state.closing = Some(reason);
        if reason == CloseReason::TooSlow {
            self.look_at_kernel(state);
            // What it takes later may be why it is closed.
            state.in_flight.freeze();
            // It does not get what it could not take, only why, once it reads again.
            // While somebody writes, what has begun is with them.
            let begun = state.begun && !state.writing;
            state.queue.clear(begun);
        }
        if reason.has_error() && self.speaks_stomp {
            let message = if reason.reconnect() { "reconnect" } else { "closed" };
            state.queue.push_unbounded(frames::error(self.version(), message, reason.text(), None));
        }
        let close = match reason {
            // Which rule or limit it was: a client that breaks RFC 6455 may not look at an ERROR.
            CloseReason::WebSocket(violation) => websocket::close(reason.code(), &violation.to_string()),
            _ => websocket::close(reason.code(), reason.text()),
        };
        state.queue.push_unbounded(close);
    }

    /// The client was taken out of a room: its task tells it.
    pub fn expel(&self, expulsion: Expulsion) {
        self.state.lock().expulsions.push(expulsion);
        self.task.wake();
    }

    /// What there is to tell of rooms that the client was taken out of.
    pub(super) fn take_expulsions(&self) -> Vec<Expulsion> {
        std::mem::take(&mut self.state.lock().expulsions)
    }

    /// Answers the peer's close, after what is queued (RFC 6455 §5.5.1).
    pub(super) fn answer_close(&self, code: Option<u16>) {
        let mut state = self.state.lock();
        if state.closing.is_none() {
            state.closing = Some(CloseReason::PeerClosed);
            let frame = match code {
                Some(code) => websocket::close(code, ""),
                None => websocket::frame(websocket::OpCode::Close, b""),
            };
            state.queue.push_unbounded(frame);
        }
        drop(state);
        self.task.wake();
    }

    /// Where the way out stands. The connection's task is woken when that changes.
    pub(super) fn standing(&self) -> Standing {
        let state = self.state.lock();
        Standing {
            closing: state.closing,
            drained: state.queue.is_empty() && !state.writing,
            socket: state.socket,
            expelled: !state.expulsions.is_empty(),
            settled: state.owed == 0,
        }
    }

    /// Whether nothing more is queued.
    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().closing.is_some()
    }

    /// The connection's task is woken when it has to look.
    pub(super) fn register(&self, context: &Context<'_>) {
        self.task.register(context.waker());
    }

    /// The connection's task is to look.
    pub(super) fn wake(&self) {
        self.task.wake();
    }

    /// Something is being done for the client, until the result is dropped.
    pub(crate) fn owe(self: &Arc<Self>) -> Owed {
        self.state.lock().owed += 1;
        Owed(self.clone())
    }

    /// The connection is over: what is still queued, and what comes, is not written. The socket is closed, whoever
    /// still holds on to this.
    pub(super) fn end(&self) {
        let mut state = self.lock_when_noted();
        state.closing.get_or_insert(CloseReason::PeerClosed);
        state.socket = SocketState::Gone;
        self.look_at_kernel(&mut state);
        state.in_flight.freeze();
        state.queue.clear(false);
        drop(state);
        let socket: &TcpStream = self.socket.as_ref();
        // Not connected any more, then.
        let _ = SockRef::from(socket).shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
pub(crate) mod tests;
