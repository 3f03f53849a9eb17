//! The reading state of a single process.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::{DashMap, mapref::one::RefMut};
use futures_util::{StreamExt as _, stream};
use shared::{RoomId, Seq, UserId};
use sqlx::PgPool;

use super::{Change, Effect, Incarnation, Life, MemberPositions, Question, Snapshot, state::RoomState};
use crate::{history::journal::Journal, record::Record, shard::Shards};

/// There is one node, and it lives as long as the state.
const NODE: Incarnation = Incarnation(1);
const LIFE: Life = Life(1);
/// Rooms that are loaded at once for lists of rooms.
const LOADS: usize = 4;

/// Positions of every room that has been opened since the process started.
#[derive(Clone)]
pub struct MemoryReading {
    rooms: Arc<DashMap<RoomId, Slot>>,
    tokens: Arc<AtomicU64>,
    pool: PgPool,
    journal: Journal,
    shards: Shards,
}

/// A room's state, or that it is on its way.
enum Slot {
    /// Positions are being read. What was read since this token was given out is whole; with none, a record was told
    /// since the last was.
    Loading {
        token: Option<Token>,
        /// How far somebody has read, as was said meanwhile: it comes to the database a little later, and need not be in
        /// what is being read.
        read: Vec<(UserId, Seq)>,
    },
    Loaded(RoomState),
}

/// No two are alike: what somebody began to read before a record was told must not pass for what is read after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token(u64);

/// What is to be done about a room.
enum Begun {
    Loaded(Snapshot),
    /// Read its positions.
    Loading(Token),
}

impl MemoryReading {
    /// An empty state that loads each room from `pool` on first use.
    pub fn new(pool: PgPool, journal: Journal, shards: Shards) -> Self {
        Self { rooms: Arc::default(), tokens: Arc::default(), pool, journal, shards }
    }

    /// A room's positions.
    pub async fn snapshot(&self, room: RoomId) -> sqlx::Result<Snapshot> {
        loop {
            let token = match self.begin(room) {
                Begun::Loaded(snapshot) => return Ok(snapshot),
                Begun::Loading(token) => token,
            };
            match load(&self.pool, room).await {
                Ok(state) => {
                    if let Some(snapshot) = self.finish(room, token, state) {
                        return Ok(snapshot);
                    }
                }
                Err(error) => {
                    // Whoever else reads it begins again. What was said meanwhile stays.
                    if let Some(mut slot) = self.rooms.get_mut(&room)
                        && let Slot::Loading { token, .. } = &mut *slot
                    {
                        *token = None;
                    }
                    return Err(error);
                }
            }
        }
    }

    pub(super) async fn positions(
        &self,
        questions: Vec<Question>,
        tell: impl Fn(RoomId, Option<MemberPositions>),
    ) {
        let ask = async |Question { room, users, .. }| (room, self.positions_of(room, &users).await);
        let mut answers = stream::iter(questions).map(ask).buffer_unordered(LOADS);
        while let Some((room, answer)) = answers.next().await {
            if let Err(error) = &answer {
                tracing::warn!(%error, %room, "positions cannot be read");
            }
            tell(room, answer.ok());
        }
    }

    async fn positions_of(&self, room: RoomId, users: &[UserId]) -> sqlx::Result<MemberPositions> {
        loop {
            if let Some(slot) = self.rooms.get(&room)
                && let Slot::Loaded(state) = &*slot
            {
                return Ok(state.positions(users));
            }
            self.snapshot(room).await?;
        }
    }

    /// Several may read the positions of a room at once: they share a token.
    fn begin(&self, room: RoomId) -> Begun {
        let new = || Token(self.tokens.fetch_add(1, Ordering::Relaxed));
        let mut slot = self.slot(room);
        match &mut *slot {
            Slot::Loaded(state) => Begun::Loaded(state.snapshot()),
            Slot::Loading { token, .. } => Begun::Loading(*token.get_or_insert_with(new)),
        }
    }

    /// These positions were read since `token` was given out. `None` if that is not good enough.
    fn finish(&self, room: RoomId, token: Token, mut state: RoomState) -> Option<Snapshot> {
        let mut slot = self.rooms.get_mut(&room)?;
        let Slot::Loading { token: Some(current), read } = &mut *slot else { return None };
        if *current != token {
            return None;
        }
        for (user, seq) in read.drain(..) {
            state.advance(user, seq);
        }
        let snapshot = state.snapshot();
        *slot = Slot::Loaded(state);
        Some(snapshot)
    }

    pub(super) fn end(&self, room: RoomId) {
        self.rooms.remove(&room);
    }

    pub(super) fn enter(&self, room: RoomId, user: UserId) {
        // A room without counts says again who reads there, once it is loaded.
        self.change(room, |state| state.enter(user, NODE).ok().flatten());
    }

    pub(super) fn leave(&self, room: RoomId, user: UserId, taken: Seq) {
        self.has_read(room, user, taken, |state| state.leave(user, NODE, taken));
    }

    pub(super) fn read(&self, room: RoomId, user: UserId, seq: Seq) {
        self.has_read(room, user, seq, |state| state.advance(user, seq));
    }

    fn has_read(
        &self,
        room: RoomId,
        user: UserId,
        seq: Seq,
        make: impl FnOnce(&mut RoomState) -> Option<Change>,
    ) {
        match &mut *self.slot(room) {
            Slot::Loaded(state) => self.publish(room, make(state)),
            Slot::Loading { read, .. } => read.push((user, seq)),
        }
        self.journal.note(room, user, seq);
    }

    pub(super) fn note(&self, room: RoomId, user: UserId, seq: Seq) {
        self.journal.note(room, user, seq);
    }

    /// These records are in the log, and their effects in the database.
    pub(super) fn tell(&self, records: &[Arc<Record>]) {
        for record in records {
            let draft = &record.draft;
            let Some(effect) = Effect::of(draft.kind) else { continue };
            self.change(draft.room, |state| state.tell(record.seq, draft.user, effect));
        }
    }

    fn slot(&self, room: RoomId) -> RefMut<'_, RoomId, Slot> {
        self.rooms.entry(room).or_insert_with(|| Slot::Loading { token: None, read: Vec::new() })
    }

    fn change(&self, room: RoomId, make: impl FnOnce(&mut RoomState) -> Option<Change>) {
        let Some(mut slot) = self.rooms.get_mut(&room) else { return };
        match &mut *slot {
            Slot::Loaded(state) => self.publish(room, make(state)),
            Slot::Loading { token, .. } => *token = None,
        }
    }

    /// Under the room's lock: changes reach the shard in version order.
    fn publish(&self, room: RoomId, change: Option<Change>) {
        if let Some(change) = change {
            self.shards.change(room, change);
        }
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
    Ok(RoomState::load(LIFE, positions, Seq::ZERO))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::{Draft, RecordKind};

    fn reading() -> MemoryReading {
        let pool = PgPool::connect_lazy("postgres://nobody@localhost/nowhere").unwrap();
        let (journal, _task) = Journal::start(pool.clone());
        MemoryReading::new(pool, journal, Shards::new(1, Arc::default()).0)
    }

    #[tokio::test]
    async fn of_two_loads_at_once_none_misses_what_was_told_in_between() {
        let reading = reading();
        let (room, anna) = (1.try_into().unwrap(), 7.try_into().unwrap());
        let begin = || match reading.begin(room) {
            Begun::Loading(token) => token,
            Begun::Loaded(_) => panic!("it is not loaded"),
        };
        let at = |seq| RoomState::load(LIFE, vec![(anna, seq)], Seq::ZERO);
        let (before, after) = (Seq::new(1, 1), Seq::new(1, 2));

        let (first, second) = (begin(), begin());
        let draft = Draft {
            room,
            kind: RecordKind::Message,
            user: anna,
            target: None,
            client_id: None,
            sent_at_ms: 0,
            body: Bytes::new(),
        };
        reading.tell(&[Arc::new(Record { seq: after, draft })]);
        // Both have read what was there before.
        assert_eq!(reading.finish(room, first, at(before)), None);
        let again = begin();
        assert_eq!(reading.finish(room, second, at(before)), None);
        let snapshot = reading.finish(room, again, at(after)).expect("nothing was told since");
        assert_eq!(snapshot.positions, [(anna, after)]);
    }

    #[tokio::test]
    async fn what_is_read_before_a_room_is_loaded_is_read() {
        let reading = reading();
        let (room, [anna, bo, cy]) =
            (1.try_into().unwrap(), [7, 8, 9].map(|id| UserId::try_from(id).unwrap()));
        let (before, after) = (Seq::new(1, 1), Seq::new(1, 2));
        // Nobody has asked for it yet, or what was asked for did not come.
        reading.read(room, anna, after);
        let Begun::Loading(token) = reading.begin(room) else { panic!("it is not loaded") };
        reading.leave(room, bo, after);
        // The database has nothing of that yet.
        let state = RoomState::load(LIFE, [anna, bo, cy].map(|user| (user, before)), Seq::ZERO);
        let mut positions = reading.finish(room, token, state).expect("nothing was told").positions;
        positions.sort_unstable();
        assert_eq!(positions, [(anna, after), (bo, after), (cy, before)]);
    }

    #[tokio::test]
    async fn a_load_that_fails_forgets_nothing_that_was_read() {
        let reading = reading();
        reading.pool.close().await;
        let (room, anna) = (1.try_into().unwrap(), 7.try_into().unwrap());
        let (before, after) = (Seq::new(1, 1), Seq::new(1, 2));
        reading.read(room, anna, after);
        reading.snapshot(room).await.expect_err("it cannot be loaded");
        let Begun::Loading(token) = reading.begin(room) else { panic!("it is not loaded") };
        let state = RoomState::load(LIFE, vec![(anna, before)], Seq::ZERO);
        let snapshot = reading.finish(room, token, state).expect("nothing was told");
        assert_eq!(snapshot.positions, [(anna, after)]);
    }

    #[tokio::test]
    async fn two_loads_at_once_need_no_third() {
        let reading = reading();
        let room = 1.try_into().unwrap();
        let (Begun::Loading(first), Begun::Loading(second)) = (reading.begin(room), reading.begin(room))
        else {
            panic!("it is not loaded")
        };
        let state = || RoomState::load(LIFE, Vec::new(), Seq::ZERO);
        assert!(reading.finish(room, second, state()).is_some());
        // Loaded meanwhile: the next look finds it.
        assert_eq!(reading.finish(room, first, state()), None);
        assert!(matches!(reading.begin(room), Begun::Loaded(_)));
    }
}
