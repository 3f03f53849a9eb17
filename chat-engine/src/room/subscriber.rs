//! Who follows a room on this node.

use shared::{Seq, UserId};

/// One subscription of one connection, unique on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId(pub u64);

/// Somebody who wants to follow the room.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber {
    /// Which subscription.
    pub id: SubscriberId,
    /// Whose.
    pub user: UserId,
    /// Whether following implies reading.
    pub reads: bool,
}

/// A member's subscriptions on this node that imply reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    pub(super) subscriptions: u32,
    /// The furthest that any of them got before it ended.
    pub(super) taken: Seq,
}
