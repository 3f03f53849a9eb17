//! The reading state of a single process.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use shared::{RoomId, Seq, UserId};
use sqlx::PgPool;

use super::{Change, Effect, Incarnation, Snapshot, state::RoomState};
use crate::{history::journal::Journal, record::Record, shard::Shards};

/// There is one node.
const NODE: Incarnation = Incarnation(1);

/// Positions of every room that has been opened since the process started.
#[derive(Clone)]
pub struct MemoryReading {
    rooms: Arc<DashMap<RoomId, Slot>>,
    pool: PgPool,
    journal: Journal,
    shards: Shards,
}

/// A room's state, or that it is on its way.
enum Slot {
    /// Positions are being read. Records told meanwhile may be missing from what is read.
    Loading {
        missed: bool,
    },
    Loaded(RoomState),
}

impl MemoryReading {
    /// An empty state that loads each room from `pool` on first use.
    pub fn new(pool: PgPool, journal: Journal, shards: Shards) -> Self {
        Self { rooms: Arc::default(), pool, journal, shards }
    }

    /// A room's positions.
    pub async fn snapshot(&self, room: RoomId) -> sqlx::Result<Snapshot> {
        loop {
            match self.rooms.entry(room) {
                Entry::Occupied(slot) => {
                    if let Slot::Loaded(state) = slot.get() {
                        return Ok(state.snapshot());
                    }
                }
                Entry::Vacant(slot) => {
                    slot.insert(Slot::Loading { missed: false });
                }
            }
            // One shard owns the room and asks once at a time: nobody else is loading it.
            let loaded = load(&self.pool, room).await;
            let Entry::Occupied(mut slot) = self.rooms.entry(room) else { continue };
            match (slot.get(), loaded) {
                (Slot::Loading { missed: false }, Ok(state)) => {
                    slot.insert(Slot::Loaded(state));
                }
                (Slot::Loading { .. }, Err(error)) => {
                    slot.remove();
                    return Err(error);
                }
                (Slot::Loading { missed: true }, Ok(_)) => {
                    slot.insert(Slot::Loading { missed: false });
                }
                (Slot::Loaded(_), _) => {}
            }
        }
    }

    pub(super) fn enter(&self, room: RoomId, user: UserId) {
        self.change(room, |state| state.enter(user, NODE));
    }

    pub(super) fn leave(&self, room: RoomId, user: UserId, taken: Seq) {
        let change = self.change(room, |state| state.leave(user, NODE, taken));
        if let Some(Change { to: Some(seq), .. }) = change {
            self.journal.note(room, user, seq);
        }
    }

    /// These records are in the log, and their effects in the database.
    pub(super) fn tell(&self, records: &[Arc<Record>]) {
        for record in records {
            let draft = &record.draft;
            let Some(effect) = Effect::of(draft.kind) else { continue };
            self.change(draft.room, |state| state.tell(record.seq, draft.user, effect));
        }
    }

    fn change(&self, room: RoomId, make: impl FnOnce(&mut RoomState) -> Option<Change>) -> Option<Change> {
        let mut slot = self.rooms.get_mut(&room)?;
        let change = match &mut *slot {
            Slot::Loaded(state) => make(state),
            Slot::Loading { missed } => {
                *missed = true;
                None
            }
        };
        // Under the room's lock: changes reach the shard in version order.
        if let Some(change) = change {
            self.shards.change(room, change);
        }
        change
    }
}

/// A room's state as the database has it.
async fn load(pool: &PgPool, room: RoomId) -> sqlx::Result<RoomState> {
    let positions: Vec<(UserId, Seq)> =
        sqlx::query_as("select user_id, seq from read_positions where room_id = $1")
            .bind(room)
            .fetch_all(pool)
            .await?;
    // Every record told so far is in the rows just read, and each is told once: none needs to be refused.
    Ok(RoomState::load(positions, Seq::ZERO))
}
