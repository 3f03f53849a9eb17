//! When a connection has to be looked at although nothing came.

use std::time::{Duration, Instant};

use super::SessionSettings;
use crate::HeartBeat;

/// What is to be done at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The timer came early.
    Nothing,
    /// A heart-beat has to be sent.
    Beat,
    /// The client let a deadline pass.
    Close(Late),
}

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// CONNECT, or what it asks for.
    Connect,
    /// A heart-beat, or anything else.
    HeartBeat,
    /// The rest of a frame.
    Frame,
}

/// A connection's deadlines.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// Until CONNECT was accepted.
    connect_by: Option<Instant>,
    last_read: Instant,
    /// Since when the beginning of a frame is there.
    mid_frame_since: Option<Instant>,
    /// The same of the transport's.
    mid_message_since: Option<Instant>,
    beat_every: Option<Duration>,
    expect_every: Option<Duration>,
}

/// How late the server's timers may be.
const TIMER_ERROR: Duration = Duration::from_millis(100);
/// Longer than any connection lasts: for one that has nothing to wait for.
const NEVER: Duration = Duration::from_hours(24 * 365 * 30);

impl Deadlines {
    pub(super) fn new(now: Instant, connect_timeout: Duration) -> Self {
        Self {
            connect_by: Some(now + connect_timeout),
            last_read: now,
            mid_frame_since: None,
            mid_message_since: None,
            beat_every: None,
            expect_every: None,
        }
    }

    pub(super) fn read(&mut self, now: Instant) {
        self.last_read = now;
    }

    /// Nothing was read until now.
    pub(super) fn resume(&mut self, now: Instant) {
        self.last_read = now;
        self.mid_frame_since = self.mid_frame_since.map(|_| now);
        self.mid_message_since = self.mid_message_since.map(|_| now);
    }

    /// A frame is complete. What is there behind it has time of its own, or else a client that sends without a pause
    /// would be taken for one that never ends its frame.
    pub(super) fn frame_ended(&mut self) {
        self.mid_frame_since = None;
    }

    /// Whether the beginning of a frame is there, seen now.
    pub(super) fn mid_frame(&mut self, seen: Option<Instant>) {
        self.mid_frame_since = seen.map(|now| self.mid_frame_since.unwrap_or(now));
    }

    pub(super) fn mid_message(&mut self, seen: Option<Instant>) {
        self.mid_message_since = seen.map(|now| self.mid_message_since.unwrap_or(now));
    }

    pub(super) fn connected(&mut self, now: Instant, settings: &SessionSettings, client: HeartBeat) {
        self.connect_by = None;
        self.last_read = now;
        self.beat_every = settings.heart_beat.interval_to(client);
        self.expect_every = client.interval_to(settings.heart_beat);
    }

    fn frame_by(&self, settings: &SessionSettings) -> Option<Instant> {
        let since = [self.mid_frame_since, self.mid_message_since].into_iter().flatten().min();
        since.map(|since| since + settings.frame_timeout)
    }

    fn expected_by(&self, settings: &SessionSettings) -> Option<Instant> {
        self.expect_every.map(|every| self.last_read + every * settings.tolerance)
    }

    /// A beat is sent early: timers are coarse, and the interval is a promise.
    fn beat_by(&self, last_write: Instant) -> Option<Instant> {
        self.beat_every
            .map(|every| last_write + (every * 9 / 10).min(every.saturating_sub(TIMER_ERROR)).max(every / 2))
    }

    pub(super) fn earliest(&self, settings: &SessionSettings, last_write: Instant) -> Instant {
        let all =
            [self.connect_by, self.frame_by(settings), self.expected_by(settings), self.beat_by(last_write)];
        all.into_iter().flatten().min().unwrap_or(self.last_read + NEVER)
    }

    pub(super) fn due(&self, settings: &SessionSettings, now: Instant, last_write: Instant) -> Due {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(self.connect_by) {
            Due::Close(Late::Connect)
        } else if passed(self.frame_by(settings)) {
            Due::Close(Late::Frame)
        } else if passed(self.expected_by(settings)) {
            Due::Close(Late::HeartBeat)
        } else if passed(self.beat_by(last_write)) {
            Due::Beat
        } else {
            Due::Nothing
        }
    }
}
