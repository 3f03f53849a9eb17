//! The task of one connection.
//!
//! It is one loop around [`Connection::poll`], which writes what is due, goes on with the one slow thing that
//! the client is waiting for, if any, and reads only when there is none: a client cannot ask for more than is
//! being done. Nothing is awaited outside of it, so there is nothing to cancel.

mod acknowledging;
mod carry_out;
mod checks;
mod expulsion;
mod identity;
mod lifetime;
mod reply;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use carry_out::{Asked, Subscription};
use identity::Identity;
pub(super) use lifetime::CLOSE_TIMEOUT;
use lifetime::Lifetime;
use reply::About;
use shared::token::Claims;
use stomp::{ByteString, Session, Subscribe, Version, session::Action};
use tokio::net::TcpStream;
use websocket::{Deflate, Event, Limits, Receiver, Role};

use super::{
    Batch, CloseReason, ConnectionId, Outbox,
    door::Seat,
    frames,
    outbox::SocketState,
    rate::Bucket,
    requests::Refusal,
    transport::{Read, Transport},
};
use crate::{access::AccessError, engine::Engine, inboxes::Unlisted, topics::TopicsError};

/// A connection whose handshake is done.
pub(crate) struct Upgraded {
    pub(crate) socket: TcpStream,
    /// Came behind the handshake already.
    pub(crate) early: Vec<u8>,
    /// The sub-protocol agreed on; without one, `accept-version` decides.
    pub(crate) version: Option<Version>,
    pub(crate) deflate: Option<Deflate>,
    pub(crate) seat: Seat,
}

/// Something slow that the client is waiting for. Nothing more is read from it meanwhile.
type Step = Pin<Box<dyn Future<Output = Stepped> + Send>>;

/// A slow thing that is done.
enum Stepped {
    Authenticated(Result<Claims, AccessError>),
    TokenChecked(Result<Claims, AccessError>, Option<ByteString>),
    Checked(Asked, Result<(), Refusal>),
    Subscribed(Subscribe, Option<ByteString>, Result<(), TopicsError>),
    /// The RECEIPT comes behind the first line about the last room.
    Listed(Subscribe, Option<ByteString>, Result<(), Unlisted>),
    Taken,
}

/// A client that said DISCONNECT.
struct Disconnecting {
    receipt: Option<ByteString>,
}

struct Connection {
    engine: Arc<Engine>,
    id: ConnectionId,
    transport: Transport,
    outbox: Arc<Outbox>,
    session: Session<Subscription>,
    identity: Option<Identity>,
    sends: Bucket,
    step: Option<Step>,
    /// DISCONNECT came; its receipt waits for the answer to everything before it.
    disconnecting: Option<Disconnecting>,
    /// The peer broke RFC 6455: what it sends has no meaning.
    unreadable: bool,
    /// A close is on its way: nothing more is read.
    leaving: bool,
    /// It is in no room and no topic any more.
    left: bool,
    lifetime: Lifetime,
    _seat: Seat,
}

/// Serves a WebSocket until it ends.
pub(crate) async fn serve(engine: Arc<Engine>, upgraded: Upgraded) {
    let Upgraded { socket, early, version, deflate, seat } = upgraded;
    let settings = &engine.settings;
    let (reader, writer) = socket.into_split();
    let id = engine.registry.next_connection();
    let max_queued = settings.limits.max_queued_bytes;
    let outbox = Arc::new(Outbox::new(writer, engine.flushers.of(id), max_queued, deflate));
    engine.registry.open(id, &outbox);
    let limits = Limits { message_bytes: settings.limits.max_message_bytes };
    let now = Instant::now();
    let mut connection = Connection {
        id,
        transport: Transport::new(reader, Receiver::new(Role::Server, limits, deflate), early),
        session: Session::new(engine.session_settings.clone(), version, now),
        identity: None,
        sends: Bucket::new(engine.send_rate, now),
        step: None,
        disconnecting: None,
        unreadable: false,
        leaving: false,
        left: false,
        lifetime: Lifetime::default(),
        _seat: seat,
        outbox,
        engine,
    };
    connection.rearm(now);
    poll_fn(|context| connection.poll_guarded(context)).await;
    connection.end();
}

impl Connection {
    /// The one place where a panic that a client's input could reach is caught: it ends this connection only.
    fn poll_guarded(&mut self, context: &mut Context<'_>) -> Poll<()> {
        guarded(|| self.poll(context)).unwrap_or_else(|| {
            self.engine.counters.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(connection = self.id.0, "a panic ended a connection");
            self.outbox.close(CloseReason::Internal);
            while self.outbox.flush() {}
            Poll::Ready(())
        })
    }

    /// Goes on until there is nothing to do at the moment. Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.outbox.register(context);
        loop {
            while self.outbox.flush() {}
            let standing = self.outbox.standing();
            if standing.socket == SocketState::Gone {
                return Poll::Ready(());
            }
            if standing.socket == SocketState::Full && self.transport.poll_writable(context).is_ready() {
                self.outbox.writable();
                continue;
            }
            let now = Instant::now();
            if let Some(reason) = standing.closing
                && self.leave_by(reason, standing.drained, now)
            {
                return Poll::Ready(());
            }
            if self.look_at_deadlines(now) {
                return Poll::Ready(());
            }
            if self.leaving {
                // Read, so that the peer's end is noticed and its bytes do not make a reset of our close.
                return self.poll_leave(context);
            }
            if standing.expelled {
                self.tell_expulsions();
                continue;
            }
            if let Some(step) = &mut self.step {
                let Poll::Ready(stepped) = step.as_mut().poll(context) else { return Poll::Pending };
                self.step = None;
                self.session.resume(now);
                self.stepped(stepped, now);
                continue;
            }
            if let Some(Disconnecting { receipt }) = self.disconnecting.take_if(|_| standing.settled) {
                self.receipt_if(receipt.as_deref());
                self.outbox.close(CloseReason::Disconnected);
                continue;
            }
            if self.poll_read(context, now).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<()> {
        let Self { transport, session, outbox, .. } = self;
        let mut message_ended = false;
        let read = transport.poll_read(context, |event| {
            match event {
                Event::Data { bytes, last, .. } => {
                    session.receive(&bytes, now);
                    message_ended |= last;
                }
                Event::Ping(payload) => {
                    session.heard(now);
                    let _ = outbox.push(websocket::pong(&payload).into());
                }
                Event::Pong(_) => session.heard(now),
                Event::Close(frame) => {
                    outbox.answer_close(frame.map(|frame| frame.code));
                    return false;
                }
            }
            true
        });
        let Poll::Ready(read) = read else { return Poll::Pending };
        if message_ended {
            // The next has time of its own, or else who sends without a pause would never end one.
            self.session.waits_for_message(false, now);
        }
        self.session.waits_for_message(self.transport.is_mid_message(), now);
        // What came before a violation or the end counts.
        self.work(now);
        match read {
            Read::Some => {}
            Read::Unreadable(violation) => {
                self.unreadable = true;
                let version = self.outbox.version();
                self.say(frames::error(version, "protocol violation", &violation.to_string(), None));
                self.outbox.close(CloseReason::WebSocket(violation));
            }
            Read::Gone => self.outbox.end(),
        }
        Poll::Ready(())
    }

    /// Does what the client's frames ask for, until one of them has to be waited for.
    fn work(&mut self, now: Instant) {
        let mut batch = Batch::default();
        while self.step.is_none() && self.disconnecting.is_none() && !self.outbox.is_closing() {
            let Some(action) = self.session.poll(now) else { break };
            let (outcome, about) = self.act(action, now, &mut batch);
            if let Err(refusal) = outcome {
                self.refuse(&refusal, &about, &mut batch);
            }
        }
        // A frame may have begun: its deadline may be nearer than any other.
        self.rearm(now);
    }

    fn stepped(&mut self, stepped: Stepped, now: Instant) {
        let mut batch = Batch::default();
        let (outcome, about) = match stepped {
            Stepped::Taken => (Ok(()), About::default()),
            Stepped::Authenticated(claims) => (self.connected(claims, now), About::default()),
            Stepped::TokenChecked(claims, receipt) => {
                (self.renew(claims, receipt.as_deref(), now), receipt.into())
            }
            Stepped::Subscribed(subscribe, receipt, outcome) => {
                if outcome.is_ok() {
                    self.receipt_if(receipt.as_deref());
                }
                self.subscribed(&subscribe, receipt, outcome.map_err(Into::into))
            }
            Stepped::Listed(subscribe, receipt, outcome) => {
                self.subscribed(&subscribe, receipt, outcome.map_err(Into::into))
            }
            Stepped::Checked(asked, checked) => {
                let about = asked.about();
                (checked.and_then(|()| self.carry_out(asked, &mut batch)), about)
            }
        };
        if let Err(refusal) = outcome {
            self.refuse(&refusal, &about, &mut batch);
        }
        drop(batch);
        self.work(now);
    }

    /// A subscription that took a while is there, or comes to nothing.
    fn subscribed(
        &mut self,
        subscribe: &Subscribe,
        receipt: Option<ByteString>,
        outcome: Result<(), Refusal>,
    ) -> (Result<(), Refusal>, About) {
        if outcome.is_err()
            && let Some(subscription) = self.session.unsubscribe(subscribe)
        {
            subscription.end(&self.engine);
        }
        (outcome, About::subscribe(subscribe, receipt))
    }

    /// Queues a frame, which this task writes before it waits again.
    fn say(&self, frame: Bytes) {
        let _ = self.outbox.push(frame.into());
    }

    fn receipt(&self, receipt: &str) {
        self.say(frames::receipt(self.outbox.version(), receipt, None));
    }

    /// Takes the connection out of every room and topic. Called once nothing more is written to it.
    fn leave(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        self.step = None;
        self.engine.registry.remove(self.id, self.identity.map(|identity| identity.user));
        for subscription in self.session.end() {
            subscription.end(&self.engine);
        }
    }

    fn end(&mut self) {
        self.outbox.end();
        if let Some(reason) = self.outbox.standing().closing {
            self.engine.counters.closed(reason);
        }
        self.leave();
        if let Some(place) = self.lifetime.place.take() {
            self.engine.timers.remove(self.id, place);
        }
    }
}

/// `None` where `poll` panicked.
fn guarded<R>(poll: impl FnOnce() -> R) -> Option<R> {
    // What a panic left half done is not used again: the connection ends.
    catch_unwind(AssertUnwindSafe(poll)).ok()
}

impl Connection {
    /// Starts what an action asks for; with what is to be said of it where it is refused.
    fn act(
        &mut self,
        action: Action<Subscription>,
        now: Instant,
        batch: &mut Batch,
    ) -> (Result<(), Refusal>, About) {
        match action {
            Action::Authenticate(connect) => {
                self.authenticate(&connect);
                (Ok(()), About::default())
            }
            Action::Send { send, receipt } => (self.send(send, receipt.clone(), now, batch), receipt.into()),
            Action::Subscribe { subscribe, receipt } => {
                let about = About::subscribe(&subscribe, receipt.clone());
                (self.subscribe(subscribe, receipt, now, batch), about)
            }
            Action::Unsubscribe { subscription, receipt } => {
                subscription.end(&self.engine);
                self.receipt_if(receipt.as_deref());
                (Ok(()), About::default())
            }
            Action::Acknowledged { answered, receipt } => {
                self.acknowledged([answered]);
                self.receipt_if(receipt.as_deref());
                (Ok(()), About::default())
            }
            Action::Commit { sends, acknowledgements, receipt } => {
                (self.commit(sends, acknowledgements, receipt.clone(), now, batch), receipt.into())
            }
            Action::Receipt(receipt) => {
                self.receipt(&receipt);
                (Ok(()), About::default())
            }
            Action::Disconnect { receipt } => {
                self.disconnecting = Some(Disconnecting { receipt });
                (Ok(()), About::default())
            }
            Action::Fail { violation, receipt } => (Err(violation.into()), receipt.into()),
        }
    }

    fn receipt_if(&self, receipt: Option<&str>) {
        if let Some(receipt) = receipt {
            self.receipt(receipt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_is_caught() {
        assert_eq!(guarded(|| 1), Some(1));
        assert_eq!(guarded(|| -> u8 { panic!("as a fault of ours would") }), None);
    }
}
