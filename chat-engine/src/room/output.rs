//! What a room wants to be done.

use std::sync::Arc;

use shared::{Seq, UserId};

use super::SubscriberId;
use crate::record::Record;

/// A change of the counts of messages with `from < seq ≤ to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRange {
    /// Exclusive.
    pub from: Seq,
    /// Inclusive.
    pub to: Seq,
    /// To be added to the counts.
    pub by: i32,
}

/// A record and how many have not read it, if it is of a kind that is counted.
pub type Counted = (Arc<Record>, Option<u32>);

/// What is to be done, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Every subscriber gets this record.
    Record(Counted),
    /// Every subscriber adds these to the counts it shows.
    Read(Vec<ReadRange>),
    /// Every subscriber replaces the counts it shows: above each seq, so many unread.
    Reset(Vec<(Seq, u32)>),
    /// One subscriber gets these older records.
    History(SubscriberId, Vec<Counted>),
    /// What was before those who are about to be added: records in order, each with the subscribers that get it. Grouped
    /// by record, so that it is written once for all of them.
    Past(Vec<(Counted, Vec<SubscriberId>)>),
    /// These subscribers replace the counts they show.
    ResetOf(Vec<SubscriberId>, Vec<(Seq, u32)>),
    /// This subscriber is told whether it got everything that it had missed.
    Recovered(SubscriberId, bool),
    /// From here on this subscriber is one of "every subscriber". Where its member stands; nowhere for who is reading by another
    /// subscription, and where it is not known.
    Added(SubscriberId, Option<Seq>),
    /// Fetch the room's positions and answer with [`snapshot`](super::Room::snapshot), or with what they lack since
    /// [`version`](super::Room::version) and [`repair`](super::Room::repair); changes from now on go to
    /// [`change`](super::Room::change).
    FetchSnapshot,
    /// Tell the authority that somebody began to read on this node.
    Enter(UserId),
    /// Tell the authority that nobody reads for this member on this node any more.
    Leave {
        /// Who.
        user: UserId,
        /// The last record that they are known to have taken.
        taken: Seq,
    },
    /// Tell the authority how far somebody has read without reading now.
    ReadUpTo {
        /// Who.
        user: UserId,
        /// The last record they acknowledged.
        seq: Seq,
    },
}
