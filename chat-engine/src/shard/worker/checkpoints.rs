//! Should this node die, its readers are taken to have read what it has said of them. It says that of each room in which
//! something happened, a second later; of one that is silent, and of connections in it, nothing.

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
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// When that is to be said.
    pub(super) due: Option<Instant>,
    /// What was said last, if it stands.
    said: Option<Checkpoint>,
    /// Until it was taken.
    waiting: Weak<()>,
}

impl Default for Checkpoints {
    fn default() -> Self {
        // Of whom nothing was said, nothing is known.
        Self { due: None, said: Some(Checkpoint::default()), waiting: Weak::new() }
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
    pub(super) fn moved(&mut self, Moved { entered }: Moved) -> Option<Instant> {
        if entered {
            self.checkpoints.said = None;
        }
        if self.checkpoints.due.is_some() {
            return None;
        }
        self.checkpoints.due = Some(Instant::now() + INTERVAL);
        self.checkpoints.due
    }
}

impl Worker {
    /// Says what the readers of a room have taken, if it is time to. While somebody has not taken everything it is looked at
    /// again.
    pub(super) fn checkpoint(&mut self, room: RoomId, now: Instant) {
        let Some(open) = self.rooms.get_mut(&room) else { return };
        if open.checkpoints.due.is_none_or(|due| now < due) {
            return;
        }
        open.checkpoints.due = None;
        if open.checkpoints.waiting.strong_count() > 0 {
            // The authority is away: it is told how it is when it is back.
            open.checkpoints.due = Some(now + INTERVAL);
            return;
        }
        let outlets = &open.outlets;
        let taken = |id| outlets.get(&id).and_then(|to| to.outlet.outbox.reached(id));
        // Where nobody reads that is said, too, if somebody came since: what the authority keeps of those who come and go
        // would grow with each of them for as long as somebody follows the room.
        let checkpoint = open.room.checkpoint(taken).unwrap_or_default();
        if !checkpoint.own.is_empty() {
            open.checkpoints.due = Some(now + INTERVAL);
        }
        if open.checkpoints.said.as_ref() != Some(&checkpoint) {
            open.checkpoints.waiting = self.deps.reading.checkpoint(room, checkpoint.clone());
            open.checkpoints.said = Some(checkpoint);
        }
    }
}
