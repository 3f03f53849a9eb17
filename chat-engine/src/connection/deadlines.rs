//! When a connection has to be looked at although nothing came: one timer for all of its deadlines.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use stomp::HeartBeat;
use tokio::time::{Instant, Sleep};

use super::{
    CloseReason,
    link::{CLOSE_TIMEOUT, Link},
};

/// The heart-beats the engine offers and asks for.
pub(super) const HEART_BEAT: HeartBeat = HeartBeat { can_send_ms: 10_000, wants_ms: 10_000 };
/// How late a client's heart-beat may be, in intervals.
const TOLERANCE: u32 = 2;

/// What is to be done at a deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Beat,
    Close(CloseReason),
    /// The client did not let a close through.
    GiveUp,
}

/// A connection's deadlines.
pub(super) struct Deadlines {
    timer: Pin<Box<Sleep>>,
    /// Until CONNECT came.
    connect_by: Option<Instant>,
    token_ends: Option<Instant>,
    beat_every: Option<Duration>,
    expect_every: Option<Duration>,
    give_up_at: Option<Instant>,
}

impl Deadlines {
    /// Before CONNECT, which is to come within `timeout`.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timer: Box::pin(tokio::time::sleep(timeout)),
            connect_by: Some(Instant::now() + timeout),
            token_ends: None,
            beat_every: None,
            expect_every: None,
            give_up_at: None,
        }
    }

    /// CONNECT came.
    pub(super) fn connected(&mut self, token_ends: Instant, client: HeartBeat, link: &Link) {
        self.connect_by = None;
        self.token_ends = Some(token_ends);
        self.beat_every = HEART_BEAT.interval_to(client);
        self.expect_every = client.interval_to(HEART_BEAT);
        self.arm(link);
    }

    /// Nothing more is read: the client has a moment to take what is on its way to it.
    pub(super) fn closing(&mut self, link: &Link) {
        if self.give_up_at.is_none() {
            self.give_up_at = Some(Instant::now() + CLOSE_TIMEOUT);
            self.arm(link);
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(context)
    }

    /// What is due now; the timer waits for the next deadline.
    pub(super) fn due(&mut self, link: &Link) -> Due {
        let now = Instant::now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let due = if passed(self.give_up_at) {
            Due::GiveUp
        } else if self.give_up_at.is_some() {
            Due::Nothing
        } else if passed(self.connect_by) {
            Due::Close(CloseReason::ConnectTimeout)
        } else if passed(self.token_ends) {
            Due::Close(CloseReason::TokenExpired)
        } else if passed(self.expected_by(link)) {
            Due::Close(CloseReason::HeartBeatMissed)
        } else if passed(self.beat_every.map(|every| link.last_write + every)) {
            Due::Beat
        } else {
            Due::Nothing
        };
        self.arm(link);
        due
    }

    fn expected_by(&self, link: &Link) -> Option<Instant> {
        self.expect_every.map(|every| link.last_read + every * TOLERANCE)
    }

    /// Sets the timer to the earliest deadline. Reading and writing only move deadlines away, so the timer is
    /// not touched for them: it comes early and is set again.
    fn arm(&mut self, link: &Link) {
        let now = Instant::now();
        // A beat that is due and not written yet waits for the socket, not for the timer.
        let beat = self.beat_every.map(|every| (link.last_write + every).max(now + every / 2));
        let of_life = [self.connect_by, self.token_ends, self.expected_by(link), beat];
        let earliest = self.give_up_at.or_else(|| of_life.into_iter().flatten().min());
        if let Some(earliest) = earliest {
            self.timer.as_mut().reset(earliest);
        }
    }
}
