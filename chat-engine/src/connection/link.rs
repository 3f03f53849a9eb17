//! The socket of a connection: its outbox in, what the peer says out.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame as WebSocketFrame,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::{
    CloseReason, Outbox,
    outbox::{Mark, Next},
};

/// How long a client may take to let a close through.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A WebSocket.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// What a link has come to.
pub(super) enum LinkEvent {
    /// The peer said this.
    Received(Bytes),
    /// The peer broke RFC 6455, or sent more than is allowed; nothing more can be read.
    Unreadable(String),
    /// The peer closes.
    PeerCloses,
    /// A close is on its way through the outbox, and the peer does not take what is before it.
    CloseWaits,
    /// Everything before the close is written.
    Close(CloseReason),
    /// The peer or the socket is gone.
    Gone,
}

/// A socket and the queue that is written to it.
pub(super) struct Link {
    socket: Socket,
    outbox: Arc<Outbox>,
    /// The marks of what was handed to the socket and not flushed.
    unflushed: Vec<Mark>,
    /// Something was handed to the socket and not flushed.
    dirty: bool,
    unreadable: bool,
    activity: Activity,
}

/// When something last went over a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    pub(super) last_write: Instant,
    pub(super) last_read: Instant,
}

impl Link {
    pub(super) fn new(socket: Socket, outbox: Arc<Outbox>) -> Self {
        let now = Instant::now();
        let activity = Activity { last_write: now, last_read: now };
        Self { socket, outbox, unflushed: Vec::new(), dirty: false, unreadable: false, activity }
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity
    }

    /// Hands everything due to the socket, which writes it at once.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<LinkEvent> {
        if self.outbox.is_too_slow(context) {
            // A client that does not read gets no more time than its queue gave it.
            return Poll::Ready(LinkEvent::Close(CloseReason::TooSlow));
        }
        loop {
            let mut socket = pin!(&mut self.socket);
            match socket.as_mut().poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(LinkEvent::Gone),
                Poll::Pending => return Poll::Pending,
            }
            match self.outbox.poll_next(context) {
                Poll::Ready(Next::Write(outgoing)) => {
                    // A frame is UTF-8: headers by construction, bodies are JSON.
                    let text = WebSocketFrame::message(outgoing.frame, OpCode::Data(Data::Text), true);
                    self.unflushed.extend(outgoing.mark);
                    self.dirty = true;
                    if socket.start_send(Message::Frame(text)).is_err() {
                        return Poll::Ready(LinkEvent::Gone);
                    }
                }
                Poll::Ready(Next::Close(reason)) => {
                    return match socket.poll_flush(context) {
                        Poll::Ready(Ok(())) => Poll::Ready(LinkEvent::Close(reason)),
                        Poll::Ready(Err(_)) => Poll::Ready(LinkEvent::Gone),
                        Poll::Pending => Poll::Ready(LinkEvent::CloseWaits),
                    };
                }
                Poll::Pending => {
                    return match socket.poll_flush(context) {
                        Poll::Ready(Ok(())) => {
                            if std::mem::take(&mut self.dirty) {
                                self.unflushed = Vec::new();
                                self.activity.last_write = Instant::now();
                            }
                            Poll::Pending
                        }
                        Poll::Ready(Err(_)) => Poll::Ready(LinkEvent::Gone),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }

    /// What the peer says next. With `deaf` it is read, so that its end is noticed, and thrown away.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, deaf: bool) -> Poll<LinkEvent> {
        loop {
            let message = match pin!(&mut self.socket).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(
                    error @ (Error::Capacity(_) | Error::Protocol(_) | Error::Utf8(_)),
                ))) if !self.unreadable => {
                    self.unreadable = true;
                    return Poll::Ready(LinkEvent::Unreadable(error.to_string()));
                }
                // Nothing comes from a socket that cannot be read, not even its end: the deadline is near.
                Poll::Ready(_) if self.unreadable => return Poll::Pending,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(LinkEvent::Gone),
            };
            self.activity.last_read = Instant::now();
            if deaf {
                continue;
            }
            match message {
                Message::Text(text) => return Poll::Ready(LinkEvent::Received(text.into())),
                Message::Binary(bytes) => return Poll::Ready(LinkEvent::Received(bytes)),
                Message::Close(_) => return Poll::Ready(LinkEvent::PeerCloses),
                // tungstenite answers pings itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// The connection is over: what was not written did not reach the client.
    pub(super) fn end(&mut self) {
        for mark in self.unflushed.drain(..) {
            self.outbox.not_written(mark);
        }
        self.outbox.end();
    }

    /// Says why, and waits a moment for the client's own close, so that the reason is not lost to a reset.
    pub(super) async fn close(mut self, reason: CloseReason) {
        let frame = CloseFrame { code: reason.code(), reason: reason.text().into() };
        let closing = async {
            if self.socket.close(Some(frame)).await.is_err() {
                return;
            }
            if self.unreadable {
                // What the client goes on sending is taken and thrown away: a socket that is closed with bytes in
                // it is reset, and the client never sees why.
                let mut discarded = [0; 4096];
                while self.socket.get_mut().read(&mut discarded).await.is_ok_and(|read| read > 0) {}
            } else {
                while let Some(Ok(_)) = poll_fn(|context| pin!(&mut self.socket).poll_next(context)).await {}
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }

    /// Answers the peer's close (RFC 6455 §5.5.1).
    pub(super) async fn answer_close(mut self) {
        // tungstenite has queued the answer.
        let flushed = poll_fn(|context| pin!(&mut self.socket).poll_flush(context));
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, flushed).await;
    }
}
