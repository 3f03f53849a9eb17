//! From the queue into the socket, as far as that takes it.

use std::{
    collections::VecDeque,
    io::{ErrorKind, IoSlice},
    sync::atomic::Ordering,
};

use bytes::Bytes;

use super::{Outbox, milliseconds_now};
use crate::connection::{CloseReason, queue::advance};

/// Frames that leave in one write at most: the kernel takes no more pieces than 1,024, and the list is on the stack.
const PIECES: usize = 64;

/// What a socket takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::connection) enum SocketState {
    #[default]
    Open,
    /// It takes no more until the connection's task has seen that it does.
    Full,
    /// The peer is gone.
    Gone,
}

impl Outbox {
    /// Writes what is queued, until the socket takes no more. Never waits: what is left is the task's. Whether more was
    /// queued meanwhile.
    pub fn flush(&self) -> bool {
        let mut state = self.state.lock();
        // Who writes now learns that there is more.
        if state.writing || state.socket != SocketState::Open || state.queue.is_empty() {
            return false;
        }
        state.writing = true;
        let mut frames = state.queue.take();
        let mut begun = state.begun;
        drop(state);
        let (written, socket) = self.write(&mut frames, &mut begun);
        let mut state = self.state.lock();
        if state.closing == Some(CloseReason::TooSlow) {
            // Found too slow while this was being written.
            state.queue.abandon(&mut frames, begun);
        }
        state.queue.put_back(frames, written);
        state.begun = begun;
        state.writing = false;
        state.socket = socket;
        if socket != SocketState::Open || state.closing.is_some() {
            self.task.wake();
        }
        socket == SocketState::Open && !state.queue.is_empty()
    }

    /// Writes `frames` until the socket takes no more: how many bytes it took, and how it is now.
    fn write(&self, frames: &mut VecDeque<Bytes>, begun: &mut bool) -> (usize, SocketState) {
        let mut written = 0;
        let socket = loop {
            let wrote = if let [only] = frames.make_contiguous() {
                // Cheaper than a list of one, and what most writes are.
                self.socket.try_write(only)
            } else {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let count = frames.len().min(PIECES);
                for (piece, frame) in pieces.iter_mut().zip(&*frames) {
                    *piece = IoSlice::new(frame);
                }
                self.socket.try_write_vectored(&pieces[..count])
            };
            match wrote {
                Ok(bytes) => {
                    written += bytes;
                    *begun = advance(frames, bytes);
                    if frames.is_empty() {
                        break SocketState::Open;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break SocketState::Full,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break SocketState::Gone,
            }
        };
        if written > 0 {
            self.written_at.store(milliseconds_now(), Ordering::Relaxed);
        }
        (written, socket)
    }

    /// The socket takes more: goes on writing.
    pub(in crate::connection) fn writable(&self) {
        {
            let mut state = self.state.lock();
            if state.socket == SocketState::Full {
                state.socket = SocketState::Open;
            }
        }
        while self.flush() {}
    }
}
