//! `/echo`: messages come back as they are, through the same WebSocket layer with the same limits and compression.
//! Only in development mode, to point public WebSocket suites at.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use websocket::{DataKind, Deflate, Event, FrameBuffer, Limits, Receiver, Role};

use super::{
    CloseReason, Outbox, Upgraded,
    outbox::SocketState,
    session::CLOSE_TIMEOUT,
    transport::{Read, Transport},
};
use crate::engine::Engine;

/// Room for the header of a frame that is as long as is allowed.
const HEADER: usize = 16;

struct Echo {
    transport: Transport,
    outbox: Arc<Outbox>,
    deflate: Option<Deflate>,
    compress_from: usize,
    message: BytesMut,
}

/// Serves a WebSocket until it ends.
pub(crate) async fn serve(engine: &Engine, upgraded: Upgraded) {
    let Upgraded { socket, early, deflate, seat, .. } = upgraded;
    let max_message = engine.settings.limits.max_message_bytes;
    let (reader, writer) = socket.into_split();
    // A message waits whole.
    let max_queued = engine.settings.limits.max_queued_bytes.max(max_message.saturating_add(HEADER));
    let id = engine.registry.next_connection();
    let outbox = Outbox::new(writer, engine.flushers.of(id), max_queued, deflate).without_stomp();
    let outbox = Arc::new(outbox);
    let receiver = Receiver::new(Role::Server, Limits { message_bytes: max_message }, deflate);
    engine.registry.open(id, &outbox);
    let mut echo = Echo {
        transport: Transport::new(reader, receiver, early),
        outbox: outbox.clone(),
        deflate,
        compress_from: engine.settings.compress_from_bytes,
        message: BytesMut::new(),
    };
    poll_fn(|context| echo.poll(context)).await;
    if outbox.standing().socket != SocketState::Gone {
        // The peer has a moment to close, too.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, poll_fn(|context| echo.poll_leave(context))).await;
    }
    outbox.end();
    engine.registry.remove(id, None);
    drop(seat);
}

impl Echo {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.outbox.register(context);
        loop {
            while self.outbox.flush() {}
            let standing = self.outbox.standing();
            if standing.socket == SocketState::Gone || standing.closing.is_some() {
                return Poll::Ready(());
            }
            if standing.socket == SocketState::Full && self.transport.poll_writable(context).is_ready() {
                self.outbox.writable();
                continue;
            }
            if !standing.drained {
                // Reads on when the client has taken what it sent.
                return Poll::Pending;
            }
            if self.poll_read(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Writes what is left, and waits for the peer to go, unless it was the first to close: then this side ends the
    /// connection (RFC 6455 §7.1.1).
    fn poll_leave(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.outbox.register(context);
        while self.outbox.flush() {}
        let standing = self.outbox.standing();
        if standing.drained && standing.closing == Some(CloseReason::PeerClosed) {
            return Poll::Ready(());
        }
        if standing.socket == SocketState::Full && self.transport.poll_writable(context).is_ready() {
            self.outbox.writable();
            context.waker().wake_by_ref();
        }
        self.transport.poll_discard(context)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Self { transport, outbox, message, deflate, compress_from, .. } = self;
        let read = transport.poll_read(context, |event| {
            match event {
                Event::Data { kind, bytes, last } => {
                    message.extend_from_slice(&bytes);
                    if last {
                        let whole = std::mem::take(message);
                        outbox.push_for_task(frame(kind, &whole, *deflate, *compress_from));
                    }
                }
                Event::Ping(payload) => outbox.push_for_task(websocket::pong(&payload)),
                Event::Pong(_) => {}
                Event::Close(frame) => {
                    outbox.answer_close(frame.map(|frame| frame.code));
                    return false;
                }
            }
            true
        });
        match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Read::Some) => {}
            Poll::Ready(Read::Unreadable(violation)) => outbox.close(CloseReason::WebSocket(violation)),
            Poll::Ready(Read::Gone) => outbox.end(),
        }
        Poll::Ready(())
    }
}

fn frame(kind: DataKind, message: &[u8], deflate: Option<Deflate>, compress_from: usize) -> bytes::Bytes {
    let deflate = deflate.filter(|_| message.len() >= compress_from);
    deflate.and_then(|deflate| deflate.compress(kind, message)).unwrap_or_else(|| {
        let mut out = FrameBuffer::with_capacity(message.len());
        out.payload_mut().extend_from_slice(message);
        out.finish(kind)
    })
}
