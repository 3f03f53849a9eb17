//! A client that speaks and the least server that answers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use stomp::{
    HeartBeat, Limits, Session, Version,
    session::{Action, Due, SessionSettings, SharedUnacknowledged},
};

pub(crate) fn settings() -> SessionSettings {
    SessionSettings {
        limits: Limits::default(),
        heart_beat: HeartBeat { can_send_ms: 10_000, wants_ms: 10_000 },
        tolerance: 2,
        connect_timeout: Duration::from_secs(10),
        frame_timeout: Duration::from_secs(30),
        subscriptions: 3,
        unacknowledged: 5,
        transactions: 2,
        transaction_frames: 4,
        transaction_bytes: 2_000,
    }
}

pub(crate) struct Conversation {
    pub(crate) session: Session<String>,
    pub(crate) now: Instant,
    /// When the server last wrote.
    pub(crate) written: Instant,
    messages: BTreeMap<String, SharedUnacknowledged>,
}

impl Conversation {
    pub(crate) fn new(settings: SessionSettings, sub_protocol: Option<Version>) -> Self {
        let now = Instant::now();
        let session = Session::new(Arc::new(settings), sub_protocol, now);
        Self { session, now, written: now, messages: BTreeMap::new() }
    }

    /// One that speaks `version` already.
    pub(crate) fn connected(version: Version) -> Self {
        Self::connected_with(settings(), version, "0,0")
    }

    pub(crate) fn connected_with(settings: SessionSettings, version: Version, heart_beat: &str) -> Self {
        let mut conversation = Self::new(settings, None);
        let connect = format!("CONNECT\naccept-version:{version}\nheart-beat:{heart_beat}\n\n\0");
        assert_eq!(conversation.say(&connect), [format!("authenticate {version}")]);
        assert_eq!(conversation.accept(), [""; 0]);
        conversation
    }

    /// The client sends this; what the server did.
    pub(crate) fn say(&mut self, text: &str) -> Vec<String> {
        self.session.receive(text.as_bytes(), self.now);
        self.work()
    }

    /// The client sends this, which does one thing; what.
    #[track_caller]
    pub(crate) fn ask(&mut self, text: &str) -> String {
        match &self.say(text)[..] {
            [did] => did.clone(),
            did => panic!("{text:?} did {did:?}"),
        }
    }

    /// The server knows who it is; what it did with what came behind CONNECT.
    pub(crate) fn accept(&mut self) -> Vec<String> {
        self.session.accept(self.now);
        self.work()
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub(crate) fn due(&self) -> Due {
        self.session.due(self.now, self.written)
    }

    /// How long from now to the next deadline.
    pub(crate) fn deadline(&self) -> Duration {
        self.session.deadline(self.written).saturating_duration_since(self.now)
    }

    /// Messages of these numbers go to the client.
    pub(crate) fn deliver(&mut self, subscription: &str, messages: impl IntoIterator<Item = u64>) {
        let mut unacknowledged = self.messages[subscription].lock();
        for message in messages {
            assert_eq!(unacknowledged.deliver(message), Ok(()));
        }
    }

    pub(crate) fn waiting(&self, subscription: &str) -> usize {
        self.messages[subscription].lock().waiting()
    }

    /// Whether the server notes what was delivered on it.
    pub(crate) fn is_answered(&self, subscription: &str) -> bool {
        self.messages.contains_key(subscription)
    }

    pub(crate) fn open(&self) -> Vec<&str> {
        self.session.subscriptions().map(|(name, _)| name).collect()
    }

    fn work(&mut self) -> Vec<String> {
        let mut did = Vec::new();
        while let Some(action) = self.session.poll(self.now) {
            let (what, receipt) = self.carry_out(action);
            assert!(did.len() < 100, "{what}, again and again");
            did.push(receipt.map_or(what.clone(), |receipt| format!("{what}, receipt {receipt}")));
        }
        did
    }

    fn carry_out(&mut self, action: Action<String>) -> (String, Option<stomp::ByteString>) {
        match action {
            Action::Authenticate(connect) => (format!("authenticate {}", connect.accept_version), None),
            Action::Send { send, receipt } => (describe(&send), receipt),
            Action::Subscribe { subscribe, receipt } => {
                let name = subscribe.id.as_ref().unwrap_or(&subscribe.destination).to_string();
                let what = format!("subscribe {name} to {} {:?}", subscribe.destination, subscribe.ack);
                if let Some(messages) = self.session.subscribe(&subscribe, name.clone()) {
                    self.messages.insert(name, messages);
                }
                (what, receipt)
            }
            Action::Unsubscribe { subscription, receipt } => {
                self.messages.remove(&subscription);
                (format!("unsubscribe {subscription}"), receipt)
            }
            Action::Acknowledged { answered, receipt } => {
                let through = answered.through.map(|through| format!(" through {through}"));
                (format!("answered {}{}", answered.subscription, through.unwrap_or_default()), receipt)
            }
            Action::Commit { sends, acknowledgements, receipt } => {
                let mut parts: Vec<_> = sends.iter().map(describe).collect();
                parts.extend(acknowledgements.iter().map(|asked| {
                    let answered = self.session.acknowledge(asked);
                    answered.map_or_else(
                        |violation| violation.to_string(),
                        |answered| {
                            answered.map_or("answered nobody".into(), |answered| {
                                format!("answered {}", answered.subscription)
                            })
                        },
                    )
                }));
                (format!("commit {parts:?}"), receipt)
            }
            Action::Receipt(receipt) => ("done".into(), Some(receipt)),
            Action::Disconnect { receipt } => ("disconnect".into(), receipt),
            Action::Fail { violation, receipt } => (format!("fail: {violation}"), receipt),
        }
    }
}

fn describe(send: &stomp::Send) -> String {
    format!("send {} {}", send.destination, String::from_utf8_lossy(&send.body))
}
