//! The reading half of a connection's socket: what came, in parts of WebSocket messages.

use std::{
    cell::RefCell,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::{TcpStream, tcp::OwnedReadHalf},
};
use websocket::{Event, Receiver, Violation};

/// Bytes of one read at most. One buffer for each thread: an idle connection has none.
const SCRATCH: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// What a read came to.
pub(super) enum Read {
    /// Something came and was handed on.
    Some,
    /// The peer broke RFC 6455, or sent more than is allowed; nothing more can be read.
    Unreadable(Violation),
    /// The peer is gone.
    Gone,
}

/// The reading half.
pub(super) struct Transport {
    socket: OwnedReadHalf,
    receiver: Receiver,
    /// Came with the handshake.
    early: Vec<u8>,
}

impl Transport {
    pub(super) fn new(socket: OwnedReadHalf, receiver: Receiver, early: Vec<u8>) -> Self {
        Self { socket, receiver, early }
    }

    /// Reads once, and hands every event to `take` until it says that nothing more is wanted.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        mut take: impl FnMut(Event<'_>) -> bool,
    ) -> Poll<Read> {
        if !self.early.is_empty() {
            let mut early = std::mem::take(&mut self.early);
            return Poll::Ready(receive(&mut self.receiver, &mut early, &mut take));
        }
        let Self { socket, receiver, .. } = self;
        with_scratch(|scratch| {
            let read = ready!(poll_socket(socket, context, scratch));
            match read {
                0 => Poll::Ready(Read::Gone),
                // A `read` is no longer than its buffer.
                read => Poll::Ready(receive(receiver, &mut scratch[..read], &mut take)),
            }
        })
    }

    /// Whether the beginning of a message is there and its end is not.
    pub(super) fn is_mid_message(&self) -> bool {
        self.receiver.is_mid_frame()
    }

    /// Reads and throws away; ready when the peer is gone.
    pub(super) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let socket = &mut self.socket;
        with_scratch(|scratch| {
            loop {
                if ready!(poll_socket(socket, context, scratch)) == 0 {
                    return Poll::Ready(());
                }
            }
        })
    }

    /// Reads and throws away; ready when the peer has closed too, or is gone.
    pub(super) fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut closed = false;
            let read = self.poll_read(context, |event| {
                closed = matches!(event, Event::Close(_));
                !closed
            });
            match ready!(read) {
                Read::Some if !closed => {}
                Read::Some | Read::Unreadable(_) | Read::Gone => return Poll::Ready(()),
            }
        }
    }

    /// Ready when the socket takes more, or is gone.
    pub(super) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        let socket: &TcpStream = self.socket.as_ref();
        socket.poll_write_ready(context).map(drop)
    }
}

fn with_scratch<R>(read: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|scratch| read(scratch))
}

/// Zero for a peer that is gone, in whatever way.
fn poll_socket(socket: &mut OwnedReadHalf, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<usize> {
    let mut buffer = ReadBuf::new(scratch);
    let result = ready!(std::pin::Pin::new(socket).poll_read(context, &mut buffer));
    Poll::Ready(if result.is_ok() { buffer.filled().len() } else { 0 })
}

fn receive(receiver: &mut Receiver, bytes: &mut [u8], take: &mut impl FnMut(Event<'_>) -> bool) -> Read {
    let mut at = 0;
    while at < bytes.len() {
        match receiver.receive(&mut bytes[at..]) {
            Ok((used, event)) => {
                at += used;
                if event.is_some_and(|event| !take(event)) {
                    return Read::Some;
                }
            }
            Err(violation) => return Read::Unreadable(violation),
        }
    }
    Read::Some
}
