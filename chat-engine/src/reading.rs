//! Where everybody has read to: the authority over positions, in memory or in Redis.
//!
//! A member's **position** is the seq they have read up to, or nothing while they are *reading now*. Every
//! change of a room is atomic and takes the room's next dense **version**; nodes keep a [replica] of each room
//! with local subscribers by applying the changes in that order. [`state`] is the model of it all: the memory
//! backend runs it, the Redis functions are held to it by the same tests.
//!
//! [replica]: crate::room::Replica

pub mod memory;
pub mod redis;
pub mod state;

use std::sync::{Arc, Weak};

use shared::{RoomId, Seq, UserId};

use crate::record::{Record, RecordKind};

/// The authority over positions.
#[derive(Clone)]
pub enum Reading {
    /// This process alone.
    Memory(memory::MemoryReading),
    /// Any number of nodes.
    Redis(redis::RedisReading),
}

impl Reading {
    /// A room's positions. From here on its changes reach the room's shard, until [`forget`](Self::forget). What is `needed`
    /// has ended before that is called: from then on nothing is followed for this question.
    pub async fn snapshot(&self, room: RoomId, needed: &Weak<()>) -> anyhow::Result<Snapshot> {
        match self {
            Self::Memory(memory) => Ok(memory.snapshot(room).await?),
            Self::Redis(redis) => Ok(redis.snapshot(room, needed).await?),
        }
    }

    /// What a copy of that version of a room's positions lacks. From here on its changes reach the room's shard, as for
    /// [`snapshot`](Self::snapshot).
    pub async fn catch_up(
        &self,
        room: RoomId,
        known: (Life, u64),
        needed: &Weak<()>,
    ) -> anyhow::Result<Positions> {
        match self {
            // Every change is handed to the shard as it is made: none is ever missed.
            Self::Memory(memory) => Ok(Positions::Whole(memory.snapshot(room).await?)),
            Self::Redis(redis) => Ok(redis.catch_up(room, known, needed).await?),
        }
    }

    /// Where some members stand, room by room: all of it is asked together, and `tell` called once for each room. From
    /// here on the changes of rooms that are to be followed reach their shards, until [`forget`](Self::forget).
    pub async fn positions(&self, questions: Vec<Question>, tell: impl Fn(RoomId, Option<MemberPositions>)) {
        match self {
            Self::Memory(memory) => memory.positions(questions, tell).await,
            Self::Redis(redis) => redis.positions(questions, tell).await,
        }
    }

    /// The room's changes are not needed any more, nor what was asked for them.
    pub fn forget(&self, room: RoomId) {
        match self {
            // Handing a change to a shard that has no such room costs less than keeping a list.
            Self::Memory(_) => {}
            Self::Redis(redis) => redis.forget(room),
        }
    }

    /// Nobody reads the room here any more.
    pub fn close(&self, room: RoomId) {
        match self {
            // Nobody takes over a process' readers but the process that follows it.
            Self::Memory(_) => {}
            Self::Redis(redis) => redis.close(room),
        }
    }

    /// The room was closed for good, and nobody is in it here. What is kept of it goes; who says something of it later finds
    /// it empty.
    pub fn end(&self, room: RoomId) {
        match self {
            Self::Memory(memory) => memory.end(room),
            Self::Redis(redis) => redis.end(room),
        }
    }

    /// `user` began to read the room on this node.
    pub fn enter(&self, room: RoomId, user: UserId) {
        match self {
            Self::Memory(memory) => memory.enter(room, user),
            Self::Redis(redis) => redis.enter(room, user),
        }
    }

    /// `user` reads the room on this node no longer, and has taken everything up to `taken`.
    pub fn leave(&self, room: RoomId, user: UserId, taken: Seq) {
        match self {
            Self::Memory(memory) => memory.leave(room, user, taken),
            Self::Redis(redis) => redis.leave(room, user, taken),
        }
    }

    /// `user` has read the room up to `seq`, without reading it now: an ACK.
    pub fn read(&self, room: RoomId, user: UserId, seq: Seq) {
        match self {
            Self::Memory(memory) => memory.read(room, user, seq),
            Self::Redis(redis) => redis.read(room, user, seq),
        }
    }

    /// `user`, who is reading the room on this node, has taken everything up to `seq`: for the database alone, from which
    /// positions are loaded when the authority has lost them.
    pub fn note(&self, room: RoomId, user: UserId, seq: Seq) {
        match self {
            Self::Memory(memory) => memory.note(room, user, seq),
            Self::Redis(redis) => redis.note(room, user, seq),
        }
    }

    /// What the readers of this node are known to have taken of the room, should it die. What is returned lives until the
    /// authority has taken that: one who waits for it does not fill the queue while the authority is away.
    pub fn checkpoint(&self, room: RoomId, checkpoint: state::Checkpoint) -> Weak<()> {
        match self {
            // The state dies with the node: what was noted last in the database is what is known.
            Self::Memory(_) => Weak::new(),
            Self::Redis(redis) => redis.checkpoint(room, checkpoint),
        }
    }

    /// These records are in the log, and their effects in the database. Called in log order, at least once; one that
    /// fails changed nothing, or is repeated without harm.
    pub async fn tell(&self, records: &[Arc<Record>]) -> anyhow::Result<()> {
        match self {
            Self::Memory(memory) => memory.tell(records),
            Self::Redis(redis) => redis.tell(records).await?,
        }
        Ok(())
    }
}

/// One life of an engine node. A node that loses its lease, or restarts, gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// One life of a room's state: from when it was loaded until the authority lost it. Versions count within one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Life(pub u64);

/// A change of one member's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which life.
    pub life: Life,
    /// The room's version after it.
    pub version: u64,
    /// Whose position.
    pub user: UserId,
    /// Where it is now; `None` while they are reading, and when they are no longer a member: nothing counts
    /// them.
    pub to: Option<Seq>,
}

/// A room's positions at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// In which life.
    pub life: Life,
    /// The version of the last change in it.
    pub version: u64,
    /// The position of every member who is not reading now.
    pub positions: Vec<(UserId, Seq)>,
}

/// What brings a copy of a room's positions up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Every change since, in order.
    Since(Vec<Change>),
    /// The positions themselves.
    Whole(Snapshot),
}

/// Where some members of a room stand at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberPositions {
    /// In which life.
    pub life: Life,
    /// The version of the last change in it.
    pub version: u64,
    /// Each of them; `None` for who is reading now, and for who is no member.
    pub positions: Vec<(UserId, Option<Seq>)>,
}

/// What is asked of one room.
#[derive(Clone, Debug)]
pub struct Question {
    /// Which.
    pub room: RoomId,
    /// Who.
    pub users: Vec<UserId>,
    /// Whether the room's changes are to follow.
    pub follow: bool,
    /// Ends when nobody wants to know any more, and before the room is forgotten.
    pub needed: Weak<()>,
}

/// What a record means for positions. The log's consumer tells it, in order and at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A member sent it: they have read what came before.
    Sent,
    /// A member joined with it: they have nothing unread.
    Joined,
    /// A member left with it: nothing counts them any more.
    Left,
}

impl Effect {
    /// The effect of a record of that kind on its user; edits and deletions move nobody.
    pub const fn of(kind: RecordKind) -> Option<Self> {
        match kind {
            RecordKind::Message => Some(Self::Sent),
            RecordKind::Joined => Some(Self::Joined),
            RecordKind::Left => Some(Self::Left),
            RecordKind::Edited | RecordKind::Deleted => None,
        }
    }
}
