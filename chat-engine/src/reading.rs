//! Where everybody has read to: the authority over positions, in memory or in Redis.
//!
//! A member's **position** is the seq they have read up to, or nothing while they are *reading now*. Every
//! change of a room is atomic and takes the room's next dense **version**; nodes keep a [replica] of each room
//! with local subscribers by applying the changes in that order. [`state`] is the model of it all: the memory
//! backend runs it, the Redis functions are held to it by the same tests.
//!
//! [replica]: crate::room::Replica

pub mod state;

use shared::{Seq, UserId};

/// One life of an engine node. A node that loses its lease, or restarts, gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// A change of one member's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
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
    /// The version of the last change in it.
    pub version: u64,
    /// The position of every member who is not reading now.
    pub positions: Vec<(UserId, Seq)>,
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
