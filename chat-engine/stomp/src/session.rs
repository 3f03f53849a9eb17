//! The server's side of one STOMP connection.

mod deadlines;
mod subscriptions;
mod transactions;
mod violation;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytestring::ByteString;
use deadlines::Deadlines;
pub use deadlines::{Due, Late};
use subscriptions::Subscriptions;
pub use subscriptions::{Answered, SharedUnacknowledged};
use transactions::Transactions;
pub use violation::Violation;

use crate::{
    Ack, Acknowledgement, Command, Connect, Decoder, Frame, HeartBeat, Limits, Request, Send, Subscribe,
    Unacknowledged, Version,
};

/// What a server allows its clients, and offers them.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Of a frame.
    pub limits: Limits,
    /// What the server can send and wants.
    pub heart_beat: HeartBeat,
    /// How long a client may be silent, in agreed intervals.
    pub tolerance: u32,
    /// From the connection's beginning until CONNECT was accepted.
    pub connect_timeout: Duration,
    /// From a frame's first byte to its last.
    pub frame_timeout: Duration,
    /// Subscriptions at a time.
    pub subscriptions: usize,
    /// Messages of one subscription that may wait for ACK.
    pub unacknowledged: usize,
    /// Transactions at a time.
    pub transactions: usize,
    /// Frames held in all of a connection's transactions.
    pub transaction_frames: usize,
    /// Bytes held in all of a connection's transactions.
    pub transaction_bytes: usize,
}

/// What the server has to do next. `receipt` is the id of the RECEIPT that the client wants once it is done.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are what the variants name")]
pub enum Action<S> {
    /// Find out who this is, then call [`Session::accept`]. Nothing else comes before.
    Authenticate(Connect),
    /// Send this on.
    Send { send: Send, receipt: Option<ByteString> },
    /// Call [`Session::subscribe`], or refuse.
    Subscribe { subscribe: Subscribe, receipt: Option<ByteString> },
    /// The subscription is over.
    Unsubscribe { subscription: S, receipt: Option<ByteString> },
    /// The client has answered messages.
    Acknowledged { answered: Answered<S>, receipt: Option<ByteString> },
    /// Do all of this, or none. The acknowledgements are for [`Session::acknowledge`].
    Commit { sends: Vec<Send>, acknowledgements: Vec<Acknowledgement>, receipt: Option<ByteString> },
    /// There is nothing to do but to say so.
    Receipt(ByteString),
    /// The client leaves: close once everything before it is done. Nothing comes after it.
    Disconnect { receipt: Option<ByteString> },
    /// The client broke the protocol: send ERROR and close. Nothing comes after it.
    Fail { violation: Violation, receipt: Option<ByteString> },
}

/// The server's side of one STOMP connection, without IO: bytes and [`Instant`]s in, [`Action`]s and deadlines out.
/// `S` is what the server keeps for a subscription.
///
/// * [`receive`](Self::receive) what the client sent, in whatever pieces.
/// * [`poll`](Self::poll) until it returns `None`; each action is carried out before the next is asked for. A
///   server that has to wait for something simply does not poll meanwhile, and does not read from its client.
/// * At [`deadline`](Self::deadline), ask what is [`due`](Self::due). Deadlines only move away by themselves when
///   something is received or written, so they need not be asked for again after that: a timer that comes early
///   finds nothing due.
#[derive(Debug)]
pub struct Session<S> {
    settings: Arc<SessionSettings>,
    decoder: Decoder,
    phase: Phase<S>,
    /// Agreed on by a sub-protocol of the transport.
    sub_protocol: Option<Version>,
    deadlines: Deadlines,
    /// Nothing more is taken.
    over: bool,
}

#[derive(Debug)]
enum Phase<S> {
    /// CONNECT has not come.
    Opening,
    /// CONNECT came and is being judged.
    Judging(HeartBeat, Version),
    Connected(Box<Connected<S>>),
}

#[derive(Debug)]
struct Connected<S> {
    version: Version,
    subscriptions: Subscriptions<S>,
    transactions: Transactions,
}

impl<S: Clone> Session<S> {
    /// A connection that begins now. `sub_protocol` is the version that the transport's handshake agreed on.
    pub fn new(settings: Arc<SessionSettings>, sub_protocol: Option<Version>, now: Instant) -> Self {
        // CONNECT has no body: who has not been let in is given no room for one.
        let limits = settings.limits;
        let frame_bytes = limits.frame_bytes.min(limits.header_bytes + 1);
        let decoder = Decoder::new(Limits { frame_bytes, ..limits });
        let deadlines = Deadlines::new(now, settings.connect_timeout);
        Self { settings, decoder, phase: Phase::Opening, sub_protocol, deadlines, over: false }
    }

    /// Takes what the client sent.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.deadlines.read(now);
        if !self.over {
            self.decoder.push(bytes);
            self.deadlines.mid_frame(self.decoder.is_mid_frame().then_some(now));
        }
    }

    /// The transport heard from the client, if only a ping.
    pub fn heard(&mut self, now: Instant) {
        self.deadlines.read(now);
    }

    /// Whether the transport has the beginning of a message of its own and not its end, which may take as long as a
    /// frame.
    pub fn waits_for_message(&mut self, waits: bool, now: Instant) {
        self.deadlines.mid_message(waits.then_some(now));
    }

    /// The version agreed on.
    pub fn version(&self) -> Option<Version> {
        match &self.phase {
            Phase::Connected(connected) => Some(connected.version),
            _ => None,
        }
    }

    /// What to do next.
    pub fn poll(&mut self, now: Instant) -> Option<Action<S>> {
        loop {
            if self.over || matches!(self.phase, Phase::Judging(..)) {
                return None;
            }
            let frame = match self.decoder.decode() {
                Ok(frame) => frame,
                Err(error) => {
                    let receipt = self.decoder.broken_receipt();
                    return Some(self.fail(error.into(), receipt));
                }
            };
            if frame.is_some() {
                self.deadlines.frame_ended();
            }
            self.deadlines.mid_frame(self.decoder.is_mid_frame().then_some(now));
            let frame = frame?;
            let receipt = frame.headers.first("receipt").cloned();
            match self.frame(frame, receipt.clone()) {
                Ok(Some(action)) => return Some(action),
                Ok(None) => {}
                Err(violation) => return Some(self.fail(violation, receipt)),
            }
        }
    }

    /// The client is who it says: the version to tell it. What it sent behind CONNECT comes next.
    pub fn accept(&mut self, now: Instant) -> Version {
        let Phase::Judging(heart_beat, version) = self.phase else {
            // Only an `Authenticate` may be answered; a repeated answer changes nothing.
            return self.version().unwrap_or(Version::V10);
        };
        self.decoder.set_version(version);
        self.decoder.set_limits(self.settings.limits);
        self.deadlines.connected(now, &self.settings, heart_beat);
        self.phase = Phase::Connected(Box::new(Connected {
            version,
            subscriptions: Subscriptions::default(),
            transactions: Transactions::default(),
        }));
        version
    }

    /// Keeps `data` for a subscription. Its messages go through what is returned, unless it is `ack:auto`.
    pub fn subscribe(&mut self, subscribe: &Subscribe, data: S) -> Option<SharedUnacknowledged> {
        let limit = self.settings.unacknowledged;
        let Phase::Connected(connected) = &mut self.phase else { return None };
        let unacknowledged = (subscribe.ack != Ack::Auto).then(|| Unacknowledged::new(subscribe.ack, limit));
        connected.subscriptions.insert(subscribe, data, unacknowledged)
    }

    /// The same for messages that are kept anyway. With `ack:client` any number of them may wait for an answer, which costs
    /// nothing; but 1.0 need not say which subscription it answers, and each is noted to find that out.
    pub fn follow(&mut self, subscribe: &Subscribe, data: S) -> Option<SharedUnacknowledged> {
        let Phase::Connected(connected) = &mut self.phase else { return None };
        if subscribe.ack != Ack::Client || connected.version == Version::V10 {
            return self.subscribe(subscribe, data);
        }
        connected.subscriptions.insert(subscribe, data, Some(Unacknowledged::cumulative()))
    }

    /// Forgets a subscription that came to nothing.
    pub fn unsubscribe(&mut self, subscribe: &Subscribe) -> Option<S> {
        let Phase::Connected(connected) = &mut self.phase else { return None };
        connected.subscriptions.forget(subscribe)
    }

    /// The server ends a subscription, whose client is told so by other means: an UNSUBSCRIBE that crosses that is no
    /// violation, and its name may be used again.
    pub fn take_back(&mut self, name: &ByteString) -> Option<S> {
        let Phase::Connected(connected) = &mut self.phase else { return None };
        connected.subscriptions.take_back(name)
    }

    /// The server lets a subscription not begin, whose client is told so by other means: an UNSUBSCRIBE that crosses that
    /// is no violation.
    pub fn turn_down(&mut self, name: &ByteString) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.subscriptions.turn_down(name);
        }
    }

    /// The server goes on after it did not read for a while: what it did not hear meanwhile is no silence.
    pub fn resume(&mut self, now: Instant) {
        self.deadlines.resume(now);
    }

    /// Every subscription that is open.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&str, &S)> {
        let connected = match &self.phase {
            Phase::Connected(connected) => Some(connected),
            _ => None,
        };
        connected.into_iter().flat_map(|connected| connected.subscriptions.iter())
    }

    /// Answers messages as the client asks; `None` if their subscription has ended meanwhile.
    pub fn acknowledge(
        &mut self,
        acknowledgement: &Acknowledgement,
    ) -> Result<Option<Answered<S>>, Violation> {
        match &mut self.phase {
            Phase::Connected(connected) => connected.subscriptions.answer(acknowledgement),
            _ => Err(Violation::NotConnected),
        }
    }

    /// Takes nothing more, and gives back what was kept for each subscription.
    pub fn end(&mut self) -> Vec<S> {
        self.over = true;
        match std::mem::replace(&mut self.phase, Phase::Opening) {
            Phase::Connected(connected) => connected.subscriptions.into_data(),
            _ => Vec::new(),
        }
    }

    /// When to ask for what is [`due`](Self::due), given when something was last written to the client.
    pub fn deadline(&self, last_write: Instant) -> Instant {
        self.deadlines.earliest(&self.settings, last_write)
    }

    /// What has to be done at a deadline.
    pub fn due(&self, now: Instant, last_write: Instant) -> Due {
        // Behind DISCONNECT nothing is taken, so nothing is late.
        if self.over { Due::Nothing } else { self.deadlines.due(&self.settings, now, last_write) }
    }

    fn fail(&mut self, violation: Violation, receipt: Option<ByteString>) -> Action<S> {
        // The subscriptions stay until `end`: the server has to close them.
        self.over = true;
        Action::Fail { violation, receipt }
    }

    fn frame(&mut self, frame: Frame, receipt: Option<ByteString>) -> Result<Option<Action<S>>, Violation> {
        let Phase::Connected(connected) = &mut self.phase else {
            return self.connect(frame).map(Some);
        };
        let Connected { version, subscriptions, transactions } = &mut **connected;
        let bytes = frame.body.len() + frame.headers.bytes();
        let request = Request::parse(frame, *version)?;
        Ok(Some(match request {
            Request::Connect(_) => return Err(Violation::ConnectedTwice),
            Request::Send(Send { transaction: Some(_), .. })
            | Request::Acknowledge(Acknowledgement { transaction: Some(_), .. }) => {
                transactions.hold(request, bytes, &self.settings)?;
                return Ok(receipt.map(Action::Receipt));
            }
            Request::Send(send) => Action::Send { send, receipt },
            Request::Acknowledge(acknowledgement) => match subscriptions.answer(&acknowledgement)? {
                Some(answered) => Action::Acknowledged { answered, receipt },
                None => return Ok(receipt.map(Action::Receipt)),
            },
            Request::Subscribe(subscribe) => {
                subscriptions.check(&subscribe, self.settings.subscriptions)?;
                Action::Subscribe { subscribe, receipt }
            }
            Request::Unsubscribe(id) => match subscriptions.remove(&id) {
                Ok(subscription) => Action::Unsubscribe { subscription, receipt },
                // The two crossed, and the client has what it wants.
                Err(_) if subscriptions.was_taken_back(&id) => return Ok(receipt.map(Action::Receipt)),
                Err(violation) => return Err(violation),
            },
            Request::Begin(name) => {
                transactions.begin(name, self.settings.transactions)?;
                return Ok(receipt.map(Action::Receipt));
            }
            Request::Abort(name) => {
                transactions.end(&name)?;
                return Ok(receipt.map(Action::Receipt));
            }
            Request::Commit(name) => {
                let (sends, acknowledgements) = transactions.end(&name)?;
                Action::Commit { sends, acknowledgements, receipt }
            }
            Request::Disconnect => {
                // Open transactions are aborted.
                *transactions = Transactions::default();
                self.over = true;
                Action::Disconnect { receipt }
            }
        }))
    }

    /// The first frame.
    fn connect(&mut self, frame: Frame) -> Result<Action<S>, Violation> {
        if !matches!(frame.command, Command::Connect | Command::Stomp) {
            return Err(Violation::NotConnected);
        }
        let Request::Connect(connect) = Request::parse(frame, Version::V12)? else {
            return Err(Violation::NotConnected);
        };
        let agreed = self.sub_protocol.and_then(|version| connect.negotiate(&[version]));
        // A client whose CONNECT does not know its own sub-protocol is taken at CONNECT's word.
        let version = agreed.or_else(|| connect.negotiate(&Version::ALL));
        let version = version.ok_or(Violation::NoCommonVersion)?;
        self.phase = Phase::Judging(connect.heart_beat, version);
        Ok(Action::Authenticate(connect))
    }
}
