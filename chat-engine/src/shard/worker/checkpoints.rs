//! Should this node die, its readers are taken to have read what it has said of them. It says that of each room in which
//! something happened, a second later; of one that is silent, and of connections in it, nothing. Much less often it has the
//! same written down, a row for each reader: should the authority be lost with what it was told, or be this process, they
//! fall back to that, and not to where they came in.

use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use shared::RoomId;

use super::{Open, Worker};
use crate::{reading::state::Checkpoint, room::Output};

/// How much a reader may have taken that is not said yet.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known to be taken of a room.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// To the authority, which has it if this node dies.
    told: Said,
    /// Until that was taken.
    waiting: Weak<()>,
    /// To the database, which has it if the authority is lost, too.
    written: Said,
}

/// What is said now and then.
#[derive(Debug)]
struct Said {
    due: Option<Instant>,
    /// What was said last, if it stands.
    last: Option<Checkpoint>,
}

impl Default for Said {
    fn default() -> Self {
        // Of whom nothing was said, nothing is known.
        Self { due: None, last: Some(Checkpoint::default()) }
    }
}

impl Said {
    /// Whether it is time. That has come, then.
    fn is_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// Whether this is not what was said last. It is now.
    fn is_news(&mut self, checkpoint: &Checkpoint) -> bool {
        let is_news = self.last.as_ref() != Some(checkpoint);
        if is_news {
            self.last = Some(checkpoint.clone());
        }
        is_news
    }
}

impl Checkpoints {
    /// When something is to be said.
    pub(super) fn due(&self) -> Option<Instant> {
        self.told.due.into_iter().chain(self.written.due).min()
    }
}

/// When rooms are written down: once in each interval, each room at a moment of its own, so that the database gets a few
/// rows at any time and never all of them at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    since: Instant,
    every: Duration,
}

impl Moments {
    pub(super) fn every(every: Duration) -> Self {
        Self { since: Instant::now(), every }
    }

    /// The room's next one after `now`.
    fn next(&self, room: RoomId, now: Instant) -> Instant {
        let every = u64::try_from(self.every.as_micros()).unwrap_or(u64::MAX).max(1);
        let elapsed =
            u64::try_from(now.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX);
        // Rooms are numbered from one: spread over the interval.
        let own = room.get().unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15) % every;
        now + Duration::from_micros(every - (elapsed % every + every - own) % every)
    }
}

/// What has happened to a room.
pub(super) struct Moved {
    /// Somebody entered: what was said before does not speak of them.
    entered: bool,
}

impl Moved {
    /// What these outputs mean for checkpoints, if they do.
    pub(super) fn by(outputs: &[Output]) -> Option<Self> {
        let entered = outputs.iter().any(|output| matches!(output, Output::Enter(_)));
        let moved = entered || outputs.iter().any(|output| matches!(output, Output::Record(_)));
        moved.then_some(Self { entered })
    }
}

impl Open {
    /// Something happened: when to look again, unless that is known.
    pub(super) fn moved(&mut self, Moved { entered }: Moved, moments: &Moments) -> Option<Instant> {
        let Checkpoints { told, written, .. } = &mut self.checkpoints;
        if entered {
            (told.last, written.last) = (None, None);
        }
        if told.due.is_some() && written.due.is_some() {
            return None;
        }
        let (room, now) = (self.room.id(), Instant::now());
        told.due.get_or_insert(now + INTERVAL);
        written.due.get_or_insert_with(|| moments.next(room, now));
        self.checkpoints.due()
    }
}

impl Worker {
    /// Says what the readers of a room have taken, if it is time to. While somebody has not taken everything it is looked at
    /// again.
    pub(super) fn checkpoint(&mut self, room: RoomId, now: Instant) {
        let Some(open) = self.rooms.get_mut(&room) else { return };
        let Checkpoints { told, waiting, written } = &mut open.checkpoints;
        let (mut tells, writes) = (told.is_due(now), written.is_due(now));
        if tells && waiting.strong_count() > 0 {
            // The authority is away: it is told how it is when it is back.
            told.due = Some(now + INTERVAL);
            tells = false;
        }
        if !tells && !writes {
            return;
        }
        let outlets = &open.outlets;
        let taken = |id| outlets.get(&id).and_then(|to| to.outlet.outbox.reached(id));
        // Where nobody reads that is said, too, if somebody came since: what the authority keeps of those who come and go
        // would grow with each of them for as long as somebody follows the room.
        let checkpoint = open.room.checkpoint(taken).unwrap_or_default();
        let lags = !checkpoint.own.is_empty();
        if writes {
            written.due = lags.then(|| self.moments.next(room, now));
            if written.is_news(&checkpoint) {
                for user in open.room.readers() {
                    self.deps.reading.note(room, user, checkpoint.of(user));
                }
            }
        }
        if tells {
            told.due = lags.then(|| now + INTERVAL);
            if told.is_news(&checkpoint) {
                *waiting = self.deps.reading.checkpoint(room, checkpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_room_is_written_once_in_an_interval_and_not_all_at_once() {
        let every = Duration::from_mins(1);
        let moments = Moments::every(every);
        let (mut seconds, mut now) = (std::collections::BTreeSet::new(), moments.since);
        for room in 1..=1_000 {
            let room = RoomId::try_from(room).unwrap();
            now += Duration::from_millis(17);
            let next = moments.next(room, now);
            assert!(next > now && next <= now + every);
            assert_eq!(moments.next(room, next), next + every);
            seconds.insert((next - moments.since).as_secs() % 60);
        }
        assert_eq!(seconds.len(), 60);
    }
}
