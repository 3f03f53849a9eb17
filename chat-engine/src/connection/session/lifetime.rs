//! How long a connection lasts: its token's life, its deadlines, and its end.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use stomp::session::{Due, Late};
use time::OffsetDateTime;

use super::Connection;
use crate::connection::{Batch, CloseReason, frames, timers::Place};

/// How long a client may take to let a close through, and to answer it.
pub(in crate::connection) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The same for one that was too slow: it is told why once it reads again. Nothing but that waits for it.
const TOO_SLOW_TIMEOUT: Duration = Duration::from_mins(1);
/// How long before a token's end its client is told.
const TOKEN_WARNING: Duration = Duration::from_mins(1);
/// When to look again at what should have been done by now.
const OVERDUE: Duration = Duration::from_millis(500);
/// A connection is looked at this often at least: within a turn of the timers' wheel.
const LOOK_EVERY: Duration = Duration::from_secs(50);

/// Deadlines that are not the protocol's.
#[derive(Default)]
pub(super) struct Lifetime {
    token_ends: Option<Instant>,
    warn_at: Option<Instant>,
    give_up_at: Option<Instant>,
    /// The earliest of all deadlines, as the timers know it.
    next: Option<Instant>,
    pub(super) place: Option<Place>,
}

impl Lifetime {
    /// The token ends at `exp`, in seconds since 1970.
    pub(super) fn set_token(&mut self, exp: i64, now: Instant) {
        let left = exp - OffsetDateTime::now_utc().unix_timestamp();
        let ends = now + Duration::from_secs(u64::try_from(left).unwrap_or(0));
        self.token_ends = Some(ends);
        self.warn_at = ends.checked_sub(TOKEN_WARNING);
    }

    /// Whether the moment has passed to tell that the token is about to end.
    pub(super) fn was_warned(&self) -> bool {
        self.token_ends.is_some() && self.warn_at.is_none()
    }

    /// What is left of the token's life, begun seconds included.
    pub(super) fn token_seconds(&self, now: Instant) -> u64 {
        let left = self.token_ends.map(|ends| ends.saturating_duration_since(now)).unwrap_or_default();
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }
}

impl Connection {
    /// Sets the timer to the earliest deadline, if that came nearer or has passed.
    pub(super) fn rearm(&mut self, now: Instant) {
        let Lifetime { token_ends, warn_at, give_up_at, next, place } = &mut self.lifetime;
        let earliest = give_up_at.unwrap_or_else(|| {
            let of_protocol = self.session.deadline(self.outbox.last_write());
            [*token_ends, *warn_at].into_iter().flatten().fold(of_protocol, Instant::min)
        });
        // A beat that is due and not written waits for the socket, not for the timer.
        let earliest = if earliest <= now { now + OVERDUE } else { earliest.min(now + LOOK_EVERY) };
        if next.is_none_or(|next| earliest < next || next <= now) {
            *next = Some(earliest);
            *place = Some(self.engine.timers.set(self.id, &self.outbox, earliest, *place));
        }
    }

    /// Does what is due; whether the connection is to be given up.
    pub(super) fn look_at_deadlines(&mut self, now: Instant) -> bool {
        if self.lifetime.next.is_none_or(|next| now < next) {
            return false;
        }
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(self.lifetime.give_up_at) {
            return true;
        }
        if self.lifetime.give_up_at.is_none() {
            if passed(self.lifetime.token_ends) {
                self.outbox.close(CloseReason::TokenExpired);
            } else if passed(self.lifetime.warn_at) {
                self.lifetime.warn_at = None;
                self.warn_of_token(now, &mut Batch::default());
            }
            match self.session.due(now, self.outbox.last_write()) {
                Due::Nothing => {}
                // What is still to be written is a beat too.
                Due::Beat if !self.outbox.standing().drained => {}
                Due::Beat => self.outbox.push_for_task(frames::heart_beat()),
                Due::Close(Late::Connect) => self.outbox.close(CloseReason::ConnectTimeout),
                // Nothing is read meanwhile: the client may have sent what it should.
                Due::Close(Late::HeartBeat | Late::Frame) if self.step.is_some() => {}
                Due::Close(Late::HeartBeat) => self.outbox.close(CloseReason::HeartBeatMissed),
                Due::Close(Late::Frame) => self.outbox.close(CloseReason::FrameTimeout),
            }
        }
        self.rearm(now);
        false
    }

    /// A close is on its way for this reason. Whether that is the connection's end.
    pub(super) fn leave_by(&mut self, reason: CloseReason, drained: bool, now: Instant) -> bool {
        if !self.leaving {
            self.leaving = true;
            let patience = if reason == CloseReason::TooSlow { TOO_SLOW_TIMEOUT } else { CLOSE_TIMEOUT };
            self.lifetime.give_up_at = Some(now + patience);
            self.rearm(now);
        }
        // What a slow client did not get is known at once; of others, when everything is written.
        if drained || reason == CloseReason::TooSlow {
            self.leave();
        }
        // The peer's close was answered: RFC 6455 §7.1.1 has the server close first.
        drained && reason == CloseReason::PeerClosed
    }

    /// Waits for the peer's own close, so that the reason is not lost to a reset.
    pub(super) fn poll_leave(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.unreadable {
            return self.transport.poll_discard(context);
        }
        self.transport.poll_closed(context)
    }
}
