//! The task of one connection.
//!
//! It is one loop around [`Connection::poll`], which writes what is due, goes on with the one slow thing that
//! the client is waiting for, if any, and reads only when there is none: a client cannot ask for more than is
//! being done. Nothing is awaited outside of it, so there is nothing to cancel.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use shared::{RoomId, SessionId, UserId, token::Claims};
use stomp::{ByteString, Connect, Decoder, Frame, HeartBeat, Limits, Request, Version};
use time::OffsetDateTime;
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{Instant, Sleep},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
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
    CloseReason, ConnectionId, Outbox, frames,
    outbox::{Mark, Next},
    requests::{Following, Refusal, Sending},
};
use crate::{
    access::AccessError,
    engine::Engine,
    record::Draft,
    room::{Subscriber, SubscriberId},
    shard::{Feed, Input, Outlet},
};

/// The heart-beats the engine offers and asks for, in milliseconds.
const HEART_BEAT: HeartBeat = HeartBeat { can_send_ms: 10_000, wants_ms: 10_000 };
/// How late a client's heart-beat may be, in intervals.
const HEART_BEAT_TOLERANCE: u32 = 2;
/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<TcpStream>;
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
    Received(Bytes),
    Stepped(Stepped),
    /// The earliest deadline.
    Due,
    /// Everything before the close is written.
    Close(CloseReason),
    /// The peer or the socket is gone.
    Gone,
}

/// A client that said CONNECT.
struct Connected {
    user: UserId,
    session: SessionId,
    token_ends: Instant,
    beat_every: Option<Duration>,
    expect_every: Option<Duration>,
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
    socket: Socket,
    outbox: Arc<Outbox>,
    decoder: Decoder,
    /// Received and not yet decoded.
    input: Bytes,
    connected: Option<Connected>,
    /// The sub-protocol agreed on in the handshake; without one, `accept-version` decides.
    version: Option<Version>,
    step: Option<Step>,
    /// DISCONNECT came; its receipt waits for the fate of every SEND before it.
    disconnecting: Option<Disconnecting>,
    /// Since when nothing more is read: an ERROR or a close is on its way.
    deaf: Option<Instant>,
    /// The marks of what was handed to the socket and not flushed.
    unflushed: Vec<Mark>,
    /// Something was handed to the socket and not flushed.
    dirty: bool,
    timer: Pin<Box<Sleep>>,
    opened: Instant,
    last_write: Instant,
    last_read: Instant,
}

/// Serves a WebSocket until it ends.
pub(crate) async fn serve(engine: Arc<Engine>, socket: Socket, version: Option<Version>) {
    let settings = &engine.settings;
    let limits = Limits { frame_bytes: settings.max_frame_bytes, ..Limits::default() };
    let now = Instant::now();
    let mut connection = Connection {
        id: ConnectionId(engine.registry.next_id()),
        socket,
        outbox: Arc::new(Outbox::new(settings.max_queued_bytes)),
        decoder: Decoder::new(limits),
        input: Bytes::new(),
        connected: None,
        version,
        step: None,
        disconnecting: None,
        deaf: None,
        unflushed: Vec::new(),
        dirty: false,
        timer: Box::pin(tokio::time::sleep(Duration::from_millis(settings.connect_timeout_ms))),
        opened: now,
        last_write: now,
        last_read: now,
        engine,
    };
    let reason = loop {
        match poll_fn(|context| connection.poll(context)).await {
            Event::Received(bytes) => {
                connection.last_read = Instant::now();
                connection.input = bytes;
                connection.read_frames();
            }
            Event::Stepped(stepped) => {
                connection.stepped(stepped);
                connection.read_frames();
            }
            Event::Due if connection.is_given_up() => break None,
            Event::Due => connection.due(),
            Event::Close(reason) => break Some(reason),
            Event::Gone => break None,
        }
    };
    connection.leave();
    if let Some(reason) = reason {
        connection.close(reason).await;
    }
}

impl Connection {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        match self.poll_write(context) {
            Poll::Ready(event) => return Poll::Ready(event),
            Poll::Pending => {}
        }
        if let Some(step) = &mut self.step
            && let Poll::Ready(stepped) = step.as_mut().poll(context)
        {
            self.step = None;
            return Poll::Ready(Event::Stepped(stepped));
        }
        if self.disconnecting.is_some() && self.outbox.appending() == 0 {
            if let Some(receipt) = self.disconnecting.take().and_then(|disconnecting| disconnecting.receipt) {
                self.outbox.push(frames::receipt(&receipt, None).into());
            }
            self.outbox.close(CloseReason::Disconnected);
            // What was just queued is written in the next round.
            context.waker().wake_by_ref();
        }
        if self.timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Event::Due);
        }
        if self.step.is_none() {
            return self.poll_read(context);
        }
        Poll::Pending
    }

    /// Hands everything due to the socket, which writes it at once.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.outbox.is_too_slow(context) {
            // A client that does not read gets no more time than its queue gave it.
            return Poll::Ready(Event::Close(CloseReason::TooSlow));
        }
        loop {
            let mut socket = pin!(&mut self.socket);
            match socket.as_mut().poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
                Poll::Pending => return Poll::Pending,
            }
            match self.outbox.poll_next(context) {
                Poll::Ready(Next::Write(outgoing)) => {
                    // A frame is UTF-8: headers by construction, bodies are JSON.
                    let text =
                        WebSocketFrame::message(outgoing.frame.clone(), OpCode::Data(Data::Text), true);
                    self.unflushed.extend(outgoing.mark);
                    self.dirty = true;
                    if socket.start_send(Message::Frame(text)).is_err() {
                        return Poll::Ready(Event::Gone);
                    }
                }
                Poll::Ready(Next::Close(reason)) => {
                    return match socket.poll_flush(context) {
                        Poll::Ready(Ok(())) => Poll::Ready(Event::Close(reason)),
                        Poll::Ready(Err(_)) => Poll::Ready(Event::Gone),
                        Poll::Pending => {
                            self.stop_reading();
                            Poll::Pending
                        }
                    };
                }
                Poll::Pending => {
                    return match socket.poll_flush(context) {
                        Poll::Ready(Ok(())) => {
                            if std::mem::take(&mut self.dirty) {
                                self.unflushed = Vec::new();
                                self.last_write = Instant::now();
                            }
                            Poll::Pending
                        }
                        Poll::Ready(Err(_)) => Poll::Ready(Event::Gone),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        loop {
            let message = match pin!(&mut self.socket).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Event::Gone),
            };
            if self.deaf.is_some() {
                continue;
            }
            match message {
                Message::Text(text) => return Poll::Ready(Event::Received(text.into())),
                Message::Binary(bytes) => return Poll::Ready(Event::Received(bytes)),
                Message::Close(_) => return Poll::Ready(Event::Gone),
                // tungstenite answers pings itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn read_frames(&mut self) {
        while self.step.is_none() && self.deaf.is_none() {
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
        let connected = Connected {
            user: claims.sub,
            session: claims.sid,
            token_ends: Instant::now() + Duration::from_secs(u64::try_from(left).unwrap_or(0)),
            beat_every: HEART_BEAT.interval_to(connect.heart_beat),
            expect_every: connect.heart_beat.interval_to(HEART_BEAT),
            subscriptions: HashMap::new(),
        };
        self.decoder.set_version(version);
        self.engine.registry.add(connected.user, connected.session, self.id, self.outbox.clone());
        // Revoked between the check and the line above: the registry was asked before this connection was in it.
        if self.engine.access.is_revoked(connected.session) {
            self.outbox.close(CloseReason::SessionRevoked);
        }
        let heart_beat = format!("{},{}", HEART_BEAT.can_send_ms, HEART_BEAT.wants_ms);
        self.outbox.push(frames::connected(version, connected.user, &heart_beat).into());
        self.connected = Some(connected);
        self.arm();
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
                self.ask(room, |taken| Input::History { room, id, before, limit, receipt, taken });
            }
            Checked::Subscribe(Following { room, feed, history }, name, receipt) => {
                let id = SubscriberId(self.engine.registry.next_id());
                connected.subscriptions.insert(name.clone(), Subscription { room, id });
                let subscriber = Subscriber { id, user: connected.user, reads: feed == Feed::Chat };
                let outlet = Outlet { outbox: self.outbox.clone(), subscription: name, feed, receipt };
                self.ask(room, |taken| Input::Subscribe { room, subscriber, outlet, history, taken });
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
        let outbox = self.outbox.clone();
        outbox.append_started();
        let done = move |outcome: Result<shared::Seq, crate::log::AppendError>| {
            match (outcome, receipt) {
                (Ok(seq), Some(receipt)) => outbox.push(frames::receipt(&receipt, Some(seq)).into()),
                (Ok(_), None) => {}
                (Err(error), receipt) => {
                    outbox.push(frames::error("try again", &error.to_string(), receipt.as_deref()).into());
                    outbox.close(CloseReason::Refused);
                }
            }
            outbox.append_ended();
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
        if self.deaf.is_none() {
            self.deaf = Some(Instant::now());
            self.arm();
        }
    }

    /// Whether the client did not let a close through.
    fn is_given_up(&self) -> bool {
        self.deaf.is_some_and(|since| since.elapsed() >= CLOSE_TIMEOUT)
    }

    /// A deadline may have come: acts on it, and waits for the next.
    fn due(&mut self) {
        let now = Instant::now();
        if let Some(reason) = self.overdue(now) {
            self.outbox.close(reason);
            self.stop_reading();
        } else if self
            .connected
            .as_ref()
            .and_then(|c| c.beat_every)
            .is_some_and(|every| self.last_write + every <= now)
        {
            self.outbox.push(Bytes::from_static(frames::HEART_BEAT).into());
        }
        self.arm();
    }

    /// Why the connection ends now, if it does.
    fn overdue(&self, now: Instant) -> Option<CloseReason> {
        let Some(connected) = &self.connected else {
            let timeout = Duration::from_millis(self.engine.settings.connect_timeout_ms);
            return (self.opened + timeout <= now).then_some(CloseReason::ConnectTimeout);
        };
        if connected.token_ends <= now {
            return Some(CloseReason::TokenExpired);
        }
        let silent =
            connected.expect_every.is_some_and(|every| self.last_read + every * HEART_BEAT_TOLERANCE <= now);
        silent.then_some(CloseReason::HeartBeatMissed)
    }

    /// Sets the timer to the earliest deadline. Reading and writing only move deadlines away, so the timer is
    /// not touched for them: it comes early and is set again.
    fn arm(&mut self) {
        let now = Instant::now();
        let timeout = Duration::from_millis(self.engine.settings.connect_timeout_ms);
        let earliest = match (self.deaf, &self.connected) {
            (Some(since), _) => since + CLOSE_TIMEOUT,
            (None, None) => self.opened + timeout,
            (None, Some(connected)) => {
                // A beat that is due and not written yet waits for the socket, not for the timer.
                let beat = connected.beat_every.map(|every| (self.last_write + every).max(now + every / 2));
                let expected =
                    connected.expect_every.map(|every| self.last_read + every * HEART_BEAT_TOLERANCE);
                [beat, expected].into_iter().flatten().fold(connected.token_ends, Instant::min)
            }
        };
        self.timer.as_mut().reset(earliest);
    }

    /// Takes the connection out of every room.
    fn leave(&mut self) {
        for mark in self.unflushed.drain(..) {
            self.outbox.not_written(mark);
        }
        self.outbox.end();
        if let Some(connected) = self.connected.take() {
            self.engine.registry.remove(connected.user, self.id);
            for Subscription { room, id } in connected.subscriptions.into_values() {
                self.engine.shards.send(room, Input::Unsubscribe { room, id });
            }
        }
    }

    /// Says why, and waits a moment for the client's own close, so that the reason is not lost to a reset.
    async fn close(mut self, reason: CloseReason) {
        let frame = CloseFrame { code: reason.code(), reason: reason.text().into() };
        let closing = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = poll_fn(|context| pin!(&mut self.socket).poll_next(context)).await {}
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}
