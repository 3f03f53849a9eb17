//! The least server around a [`Session`], which checks what must hold of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use stomp::{
    HeartBeat, Limits, Session, Version,
    session::{Action, Due, SessionSettings, SharedUnacknowledged},
};

/// Limits that little input reaches.
static SETTINGS: LazyLock<Arc<SessionSettings>> = LazyLock::new(|| {
    Arc::new(SessionSettings {
        limits: Limits { frame_bytes: 400, header_bytes: 200, headers: 8 },
        heart_beat: HeartBeat { can_send_ms: 10_000, wants_ms: 10_000 },
        tolerance: 2,
        connect_timeout: Duration::from_secs(10),
        frame_timeout: Duration::from_secs(30),
        subscriptions: 3,
        unacknowledged: 3,
        transactions: 2,
        transaction_frames: 2,
        transaction_bytes: 1500,
    })
});

/// Simulated time goes on from here.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) struct Broker {
    session: Session<u64>,
    pub(crate) now: Instant,
    last_write: Instant,
    asked: bool,
    version: Option<Version>,
    /// By the number that the session keeps for each.
    open: BTreeMap<u64, Option<SharedUnacknowledged>>,
    /// Subscriptions and messages so far.
    pub(crate) numbers: u64,
    /// Bytes that could still become actions.
    received: usize,
    /// DISCONNECT, a violation, a deadline that passed or the peer's end.
    over: bool,
}

impl Broker {
    pub(crate) fn new(sub_protocol: Option<Version>) -> Self {
        let now = *BEGINNING;
        Self {
            session: Session::new(SETTINGS.clone(), sub_protocol, now),
            now,
            last_write: now,
            asked: false,
            version: None,
            open: BTreeMap::new(),
            numbers: 0,
            received: 0,
            over: false,
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.received += bytes.len();
        self.session.receive(bytes, self.now);
    }

    pub(crate) fn heard(&mut self) {
        self.session.heard(self.now);
    }

    /// The next action, carried out: what it was.
    pub(crate) fn work(&mut self, accept: bool) -> Option<String> {
        let action = self.session.poll(self.now)?;
        assert!(!self.over, "{action:?} behind the end");
        assert!(self.received > 0, "{action:?} out of nothing");
        // The shortest frame is ACK without anything.
        self.received = self.received.saturating_sub(5);
        let did = format!("{action:?}");
        self.carry_out(action, accept);
        let session = self.session.subscriptions().map(|(_, number)| *number).collect::<Vec<_>>();
        assert_eq!(session.len(), self.open.len());
        assert!(session.iter().all(|number| self.open.contains_key(number)));
        assert!(self.open.len() <= SETTINGS.subscriptions);
        Some(did)
    }

    fn carry_out(&mut self, action: Action<u64>, accept: bool) {
        match &action {
            Action::Authenticate(_) => assert!(!std::mem::replace(&mut self.asked, true), "asked twice"),
            Action::Fail { .. } => {}
            _ => assert!(self.version.is_some(), "{action:?} before anybody is accepted"),
        }
        match action {
            Action::Authenticate(_) if accept => self.accept(),
            Action::Authenticate(_) | Action::Receipt(_) => {}
            Action::Send { send, .. } => {
                assert_eq!(send.transaction, None);
                assert!(send.body.len() < SETTINGS.limits.frame_bytes);
            }
            Action::Subscribe { subscribe, .. } => {
                // Every fourth is refused: the session must not think that it is there.
                self.numbers += 1;
                if !self.numbers.is_multiple_of(4) {
                    let messages = self.session.subscribe(&subscribe, self.numbers);
                    self.open.insert(self.numbers, messages);
                }
            }
            Action::Unsubscribe { subscription, .. } => assert!(self.open.remove(&subscription).is_some()),
            Action::Acknowledged { answered, .. } => {
                assert!(matches!(self.open.get(&answered.subscription), Some(Some(_))));
                assert!(answered.through <= Some(self.numbers));
            }
            Action::Commit { sends, acknowledgements, .. } => {
                assert!(sends.len() + acknowledgements.len() <= SETTINGS.transaction_frames);
                let bytes: usize = sends.iter().map(|send| send.body.len()).sum();
                assert!(bytes <= SETTINGS.transaction_bytes);
                let refused = |asked| self.session.acknowledge(asked).is_err();
                if acknowledgements.iter().any(refused) {
                    self.end();
                }
            }
            Action::Disconnect { .. } | Action::Fail { .. } => self.over = true,
        }
    }

    /// The client is who it says.
    pub(crate) fn accept(&mut self) {
        // A session that was not asked, or is over, has to stand this too.
        let version = self.session.accept(self.now);
        if self.asked && !self.over {
            assert!(self.version.is_none_or(|before| before == version));
            assert_eq!(self.session.version(), Some(version));
            self.version = Some(version);
        }
    }

    /// Messages go out on a subscription.
    pub(crate) fn deliver(&mut self, subscription: u8, messages: u8) {
        let open = self.open.values().flatten();
        let Some(unacknowledged) = open.cycle().nth(usize::from(subscription % 4)) else { return };
        let mut unacknowledged = unacknowledged.lock();
        for _ in 0..messages % 8 {
            self.numbers += 1;
            let waiting = unacknowledged.waiting();
            match unacknowledged.deliver(self.numbers) {
                Ok(()) => assert_eq!(unacknowledged.waiting(), waiting + 1),
                Err(_) => assert_eq!(unacknowledged.waiting(), waiting),
            }
            assert!(unacknowledged.waiting() <= SETTINGS.unacknowledged);
        }
        self.last_write = self.now;
    }

    /// Time goes on, and what is due then is done: nothing is due any more.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.over {
            return;
        }
        let deadline = self.session.deadline(self.last_write);
        let due = self.session.due(self.now, self.last_write);
        assert!(due == Due::Nothing || deadline <= self.now, "{due:?} before its deadline");
        match due {
            Due::Nothing => {}
            Due::Beat => self.last_write = self.now,
            Due::Close(_) => return self.end(),
        }
        assert!(self.session.deadline(self.last_write) > self.now, "looked at again at once, for ever");
    }

    /// The connection is closed: the session gives back every subscription and does nothing more.
    pub(crate) fn end(&mut self) {
        let mut given_back = self.session.end();
        given_back.sort_unstable();
        assert!(given_back.iter().eq(self.open.keys()));
        self.open.clear();
        self.over = true;
        assert!(self.session.poll(self.now).is_none());
        assert_eq!(self.session.subscriptions().count(), 0);
    }
}
