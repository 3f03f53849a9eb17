//! The task of one connection.
//!
//! It is one loop around [`Connection::poll`], which writes what is due, goes on with the one slow thing that
//! the client is waiting for, if any, and reads only when there is none: a client cannot ask for more than is
//! being done. Nothing is awaited outside of it, so there is nothing to cancel.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use shared::{RoomId, SessionId, UserId, token::Claims};
use stomp::{ByteString, Connect, Decoder, Frame, Limits, Request, Version};
use time::OffsetDateTime;
use tokio::{sync::oneshot, time::Instant};

use super::{
    CloseReason, ConnectionId, Outbox,
    deadlines::{Deadlines, Due, HEART_BEAT},
    frames,
    link::{Link, LinkEvent, Socket},
    requests::{Following, Refusal, Sending},
};
use crate::{
    access::AccessError,
    engine::Engine,
    record::Draft,
    room::{Subscriber, SubscriberId},
    shard::{Answer, Feed, Input, Outlet},
};

/// Something slow that the client is waiting for. Nothing more is read from it meanwhile.
type Step = Pin<Box<dyn Future<Output = Stepped> + Send>>;

/// A slow thing that is done.
enum Stepped {
    Authenticated(Connect, Result<Claims, AccessError>),
    MemberChecked(Checked, Result<bool, sqlx::Error>),
    Taken,
}

/// A request that is waiting for its membership check.
enum Checked {
    Send(Sending, Option<ByteString>),
    Subscribe(Following, ByteString, Option<ByteString>),
}

/// What the loop has to look at.
enum Event {
    Link(LinkEvent),
    Stepped(Stepped),
    /// The earliest deadline has come.
    Due,
}

/// How a connection ends.
enum End {
    /// The engine closes it.
    Closed(CloseReason),
    /// The client closes it.
    PeerCloses,
    /// There is nobody to close it with.
    Gone,
}

/// A client that said CONNECT.
struct Connected {
    user: UserId,
    session: SessionId,
    subscriptions: HashMap<ByteString, Subscription>,
}

/// A client that said DISCONNECT.
struct Disconnecting {
    receipt: Option<ByteString>,
}

#[derive(Clone, Copy)]
struct Subscription {
    room: RoomId,
    id: SubscriberId,
}

struct Connection {
    engine: Arc<Engine>,
    id: ConnectionId,
    link: Link,
    outbox: Arc<Outbox>,
    decoder: Decoder,
    /// Received and not yet decoded.
    input: Bytes,
    connected: Option<Connected>,
    /// The sub-protocol agreed on in the handshake; without one, `accept-version` decides.
    version: Option<Version>,
    step: Option<Step>,
    /// DISCONNECT came; its receipt waits for the answer to everything before it.
    disconnecting: Option<Disconnecting>,
    /// Nothing more is read: an ERROR or a close is on its way.
    deaf: bool,
    deadlines: Deadlines,
}

/// Serves a WebSocket until it ends.
pub(crate) async fn serve(engine: Arc<Engine>, socket: Socket, version: Option<Version>) {
    let settings = &engine.settings;
    let limits = Limits { frame_bytes: settings.max_frame_bytes, ..Limits::default() };
    let outbox = Arc::new(Outbox::new(settings.max_queued_bytes));
    let id = ConnectionId(engine.registry.next_id());
    engine.registry.open(id, outbox.clone());
    let mut connection = Connection {
        id,
        link: Link::new(socket, outbox.clone()),
        outbox,
        decoder: Decoder::new(limits),
        input: Bytes::new(),
        connected: None,
        version,
        step: None,
        disconnecting: None,
        deaf: false,
        deadlines: Deadlines::new(Duration::from_millis(settings.connect_timeout_ms)),
        engine,
    };
    let end = loop {
        match poll_fn(|context| connection.poll(context)).await {
            Event::Link(LinkEvent::Received(bytes)) => {
                connection.input = bytes;
                connection.read_frames();
            }
            Event::Stepped(stepped) => {
                connection.stepped(stepped);
                connection.read_frames();
            }
            Event::Due => match connection.deadlines.due(connection.link.activity()) {
                Due::Nothing => {}
                Due::Beat => connection.outbox.push(Bytes::from_static(frames::HEART_BEAT).into()),
                Due::Close(reason) => {
                    connection.outbox.close(reason);
                    connection.stop_reading();
                }
                Due::GiveUp => break End::Gone,
            },
            Event::Link(LinkEvent::CloseWaits) => connection.stop_reading(),
            Event::Link(LinkEvent::Unreadable(error)) => connection.refuse(&Refusal::Protocol(error), None),
            Event::Link(LinkEvent::Close(reason)) => break End::Closed(reason),
            Event::Link(LinkEvent::PeerCloses) => break End::PeerCloses,
            Event::Link(LinkEvent::Gone) => break End::Gone,
        }
    };
    connection.leave();
    match end {
        End::Closed(reason) => connection.link.close(reason).await,
        End::PeerCloses => connection.link.answer_close().await,
        End::Gone => {}
    }
}

impl Connection {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        match self.link.poll_write(context) {
            // The link says so at every poll until the socket takes it; the deadline for that runs already.
            Poll::Ready(LinkEvent::CloseWaits) if self.deaf => {}
            Poll::Ready(event) => return Poll::Ready(Event::Link(event)),
            Poll::Pending => {}
        }
        if let Some(step) = &mut self.step
            && let Poll::Ready(stepped) = step.as_mut().poll(context)
        {
            self.step = None;
            return Poll::Ready(Event::Stepped(stepped));
        }
        if self.disconnecting.is_some() && self.step.is_none() && self.outbox.is_settled() {
            if let Some(receipt) = self.disconnecting.take().and_then(|disconnecting| disconnecting.receipt) {
                self.outbox.push(frames::receipt(&receipt, None).into());
            }
            self.outbox.close(CloseReason::Disconnected);
            self.stop_reading();
            // What was just queued is written in the next round.
            context.waker().wake_by_ref();
        }
        if self.deadlines.poll(context).is_ready() {
            return Poll::Ready(Event::Due);
        }
        if self.step.is_none() {
            return self.link.poll_read(context, self.deaf).map(Event::Link);
        }
        Poll::Pending
    }

    fn read_frames(&mut self) {
        while self.step.is_none() && !self.deaf {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(frame)) => {
                    let receipt = frame.headers.first("receipt").cloned();
                    if let Err(refusal) = self.frame(frame, receipt.clone()) {
                        self.refuse(&refusal, receipt.as_deref());
                    }
                }
                Ok(None) => return,
                Err(error) => self.refuse(&Refusal::Protocol(error.to_string()), None),
            }
        }
    }

    fn frame(&mut self, frame: Frame, receipt: Option<ByteString>) -> Result<(), Refusal> {
        let request = Request::parse(frame).map_err(|error| Refusal::Protocol(error.to_string()))?;
        let Some(connected) = &self.connected else {
            return match request {
                Request::Connect(connect) => {
                    self.authenticate(connect);
                    Ok(())
                }
                _ => Err(Refusal::Protocol("the first frame is CONNECT".into())),
            };
        };
        if self.disconnecting.is_some() {
            return Err(Refusal::Protocol("nothing comes after DISCONNECT".into()));
        }
        let user = connected.user;
        match request {
            Request::Connect(_) => Err(Refusal::Protocol("CONNECT came twice".into())),
            Request::Send(send) => {
                let sending = Sending::parse(&send, self.engine.settings.max_content_bytes)?;
                self.check_member(sending.room(), user, Checked::Send(sending, receipt))
            }
            Request::Subscribe(subscribe) => {
                let following = Following::parse(&subscribe)?;
                if connected.subscriptions.contains_key(&subscribe.id) {
                    return Err(Refusal::Protocol(format!(
                        "the subscription id {:?} is taken",
                        subscribe.id
                    )));
                }
                let limit = self.engine.settings.max_subscriptions;
                if connected.subscriptions.len() >= limit {
                    return Err(Refusal::TooManySubscriptions(limit));
                }
                self.check_member(following.room, user, Checked::Subscribe(following, subscribe.id, receipt))
            }
            Request::Unsubscribe { id } => self.unsubscribe(&id, receipt.as_deref()),
            Request::Disconnect => {
                self.disconnecting = Some(Disconnecting { receipt });
                Ok(())
            }
        }
    }

    fn authenticate(&mut self, connect: Connect) {
        let engine = self.engine.clone();
        self.step = Some(Box::pin(async move {
            let claims = engine.access.authenticate(connect.token.as_deref()).await;
            Stepped::Authenticated(connect, claims)
        }));
    }

    /// Goes on with a request at once if its sender is known to be a member, else after asking.
    fn check_member(&mut self, room: RoomId, user: UserId, request: Checked) -> Result<(), Refusal> {
        if self.engine.memberships.is_known(room, user) {
            return self.carry_out(request);
        }
        let engine = self.engine.clone();
        self.step = Some(Box::pin(async move {
            let member = engine.memberships.check(room, user).await;
            Stepped::MemberChecked(request, member)
        }));
        Ok(())
    }

    fn stepped(&mut self, stepped: Stepped) {
        let (outcome, receipt) = match stepped {
            Stepped::Taken => return,
            Stepped::Authenticated(connect, claims) => (self.connect(&connect, claims), None),
            Stepped::MemberChecked(request, member) => {
                let (room, receipt) = match &request {
                    Checked::Send(sending, receipt) => (sending.room(), receipt.clone()),
                    Checked::Subscribe(following, _, receipt) => (following.room, receipt.clone()),
                };
                let outcome = match member {
                    Ok(true) => self.carry_out(request),
                    Ok(false) => Err(Refusal::NotAMember(room)),
                    Err(error) => {
                        tracing::error!(%error, %room, "membership cannot be checked");
                        Err(Refusal::TryAgain("memberships cannot be checked at the moment".into()))
                    }
                };
                (outcome, receipt)
            }
        };
        if let Err(refusal) = outcome {
            self.refuse(&refusal, receipt.as_deref());
        }
    }

    fn connect(&mut self, connect: &Connect, claims: Result<Claims, AccessError>) -> Result<(), Refusal> {
        let claims = claims.map_err(|error| Refusal::NotAllowed(error.to_string()))?;
        let version = Version::negotiate(&connect.accept_version, &[Version::V12])
            .filter(|version| self.version.is_none_or(|agreed| agreed == *version))
            .ok_or_else(|| Refusal::Protocol("supported versions are 1.2".into()))?;
        let left = claims.exp - OffsetDateTime::now_utc().unix_timestamp();
        let token_ends = Instant::now() + Duration::from_secs(u64::try_from(left).unwrap_or(0));
        let connected = Connected { user: claims.sub, session: claims.sid, subscriptions: HashMap::new() };
        self.decoder.set_version(version);
        self.engine.registry.add(connected.user, connected.session, self.id, self.outbox.clone());
        // Revoked between the check and the line above: the registry was asked before this connection was in it.
        if self.engine.access.is_revoked(connected.session) {
            self.outbox.close(CloseReason::SessionRevoked);
        }
        let heart_beat = format!("{},{}", HEART_BEAT.can_send_ms, HEART_BEAT.wants_ms);
        self.outbox.push(frames::connected(version, connected.user, &heart_beat).into());
        self.connected = Some(connected);
        self.deadlines.connected(token_ends, connect.heart_beat, self.link.activity());
        Ok(())
    }

    fn carry_out(&mut self, request: Checked) -> Result<(), Refusal> {
        let Some(connected) = &mut self.connected else { return Ok(()) };
        match request {
            Checked::Send(Sending::Message { room, client_id, content }, receipt) => {
                let draft = Draft::message(room, connected.user, client_id, &content);
                self.append(draft, receipt);
            }
            Checked::Send(Sending::History { room, subscription, before, limit }, receipt) => {
                let subscription = connected
                    .subscriptions
                    .iter()
                    .find(|(name, of)| of.room == room && subscription.as_ref().is_none_or(|id| id == *name))
                    .map(|(_, subscription)| *subscription)
                    .ok_or_else(|| Refusal::Protocol("history needs a subscription to the room".into()))?;
                let id = subscription.id;
                let answer = Answer { receipt, owed: self.outbox.owe() };
                self.ask(room, |taken| Input::History { room, id, before, limit, answer, taken });
            }
            Checked::Subscribe(Following { room, feed, history }, name, receipt) => {
                let id = SubscriberId(self.engine.registry.next_id());
                connected.subscriptions.insert(name.clone(), Subscription { room, id });
                let user = connected.user;
                let subscriber = Subscriber { id, user, reads: feed == Feed::Chat };
                let answer = Some(Answer { receipt, owed: self.outbox.owe() });
                let outlet = Outlet { outbox: self.outbox.clone(), subscription: name, feed, answer };
                self.ask(room, |taken| Input::Subscribe { room, subscriber, outlet, history, taken });
                // They may have left between the check and the line above. Events change the cache before they
                // expel: either this sees it, or the expulsion comes behind the subscription.
                if !self.engine.memberships.is_known(room, user) {
                    self.outbox.close(CloseReason::NotAMember);
                }
            }
        }
        Ok(())
    }

    /// Hands an input to the room's shard, and reads on when it was taken.
    fn ask(&mut self, room: RoomId, input: impl FnOnce(oneshot::Sender<()>) -> Input) {
        let (taken, wait) = oneshot::channel();
        self.engine.shards.send(room, input(taken));
        self.step = Some(Box::pin(async move {
            // Dropped, not sent: an error is the signal.
            let _ = wait.await;
            Stepped::Taken
        }));
    }

    fn append(&mut self, draft: Draft, receipt: Option<ByteString>) {
        let (outbox, owed) = (self.outbox.clone(), self.outbox.owe());
        let done = move |outcome: Result<shared::Seq, crate::log::AppendError>| {
            match (outcome, receipt) {
                (Ok(seq), Some(receipt)) => outbox.push(frames::receipt(&receipt, Some(seq)).into()),
                (Ok(_), None) => {}
                (Err(error), receipt) => {
                    outbox.push(frames::error("try again", &error.to_string(), receipt.as_deref()).into());
                    outbox.close(CloseReason::Refused);
                }
            }
            drop(owed);
        };
        self.engine.log.append(draft, Box::new(done));
    }

    fn unsubscribe(&mut self, name: &str, receipt: Option<&str>) -> Result<(), Refusal> {
        let subscription = self.connected.as_mut().and_then(|connected| connected.subscriptions.remove(name));
        let Some(Subscription { room, id }) = subscription else {
            return Err(Refusal::Protocol(format!("there is no subscription {name:?}")));
        };
        self.engine.shards.send(room, Input::Unsubscribe { room, id });
        if let Some(receipt) = receipt {
            self.outbox.push(frames::receipt(receipt, None).into());
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: &Refusal, receipt: Option<&str>) {
        self.outbox.push(frames::error(refusal.title(), &refusal.to_string(), receipt).into());
        self.outbox.close(CloseReason::Refused);
        self.stop_reading();
    }

    /// Reads nothing more; the client has a moment to take what is on its way to it.
    fn stop_reading(&mut self) {
        self.deaf = true;
        self.deadlines.closing(self.link.activity());
    }

    /// Takes the connection out of every room.
    fn leave(&mut self) {
        self.link.end();
        self.engine.registry.drop_fresh(self.id);
        if let Some(connected) = self.connected.take() {
            self.engine.registry.remove(connected.user, self.id);
            for Subscription { room, id } in connected.subscriptions.into_values() {
                self.engine.shards.send(room, Input::Unsubscribe { room, id });
            }
        }
    }
}
