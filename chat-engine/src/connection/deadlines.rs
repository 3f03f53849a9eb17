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
    link::{Activity, CLOSE_TIMEOUT},
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
    pub(super) fn connected(&mut self, token_ends: Instant, client: HeartBeat, activity: Activity) {
        self.connect_by = None;
        self.token_ends = Some(token_ends);
        self.beat_every = HEART_BEAT.interval_to(client);
        self.expect_every = client.interval_to(HEART_BEAT);
        self.arm(activity);
    }

    /// Nothing more is read: the client has a moment to take what is on its way to it.
    pub(super) fn closing(&mut self, activity: Activity) {
        if self.give_up_at.is_none() {
            self.give_up_at = Some(Instant::now() + CLOSE_TIMEOUT);
            self.arm(activity);
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(context)
    }

    /// What is due now; the timer waits for the next deadline.
    pub(super) fn due(&mut self, activity: Activity) -> Due {
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
        } else if passed(self.expected_by(activity)) {
            Due::Close(CloseReason::HeartBeatMissed)
        } else if passed(self.beat_every.map(|every| activity.last_write + every)) {
            Due::Beat
        } else {
            Due::Nothing
        };
        self.arm(activity);
        due
    }

    fn expected_by(&self, activity: Activity) -> Option<Instant> {
        self.expect_every.map(|every| activity.last_read + every * TOLERANCE)
    }

    /// Sets the timer to the earliest deadline. Reading and writing only move deadlines away, so the timer is
    /// not touched for them: it comes early and is set again.
    fn arm(&mut self, activity: Activity) {
        let now = Instant::now();
        // A beat that is due and not written yet waits for the socket, not for the timer.
        let beat = self.beat_every.map(|every| (activity.last_write + every).max(now + every / 2));
        let of_life = [self.connect_by, self.token_ends, self.expected_by(activity), beat];
        let earliest = self.give_up_at.or_else(|| of_life.into_iter().flatten().min());
        if let Some(earliest) = earliest {
            self.timer.as_mut().reset(earliest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const TOKEN: Duration = Duration::from_secs(55);

    fn deadlines(client: HeartBeat) -> Deadlines {
        let mut deadlines = Deadlines::new(Duration::from_secs(1));
        deadlines.connected(Instant::now() + TOKEN, client, now());
        deadlines
    }

    fn now() -> Activity {
        Activity { last_read: Instant::now(), last_write: Instant::now() }
    }

    /// Waits for deadlines until one asks for something, and says when.
    async fn next(deadlines: &mut Deadlines, activity: Activity) -> (u64, Due) {
        let began = Instant::now();
        loop {
            poll_fn(|context| deadlines.poll(context)).await;
            match deadlines.due(activity) {
                Due::Nothing => {}
                due => return (began.elapsed().as_secs(), due),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_closed_and_a_quiet_line_gets_a_beat() {
        let mut deadlines = deadlines(HeartBeat { can_send_ms: 5_000, wants_ms: 12_000 });
        let activity = now();
        // The longer of what the client wants and what the engine can.
        assert_eq!(next(&mut deadlines, activity).await, (12, Due::Beat));
        let written = Activity { last_write: Instant::now(), ..activity };
        // Ten seconds are agreed on for the client, and as much again is tolerated.
        assert_eq!(next(&mut deadlines, written).await, (8, Due::Close(CloseReason::HeartBeatMissed)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_heart_beats_only_the_token_ends() {
        let mut deadlines = deadlines(HeartBeat::default());
        assert_eq!(
            next(&mut deadlines, now()).await,
            (TOKEN.as_secs(), Due::Close(CloseReason::TokenExpired))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_that_is_not_taken_is_given_up() {
        let mut deadlines = deadlines(HeartBeat { can_send_ms: 5_000, wants_ms: 1_000 });
        deadlines.closing(now());
        assert_eq!(next(&mut deadlines, now()).await, (CLOSE_TIMEOUT.as_secs(), Due::GiveUp));
    }
}
