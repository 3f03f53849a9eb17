//! Shards: each a task that owns a part of the rooms. Nobody else touches a room's state, so there is no lock
//! around it, and everything about a room is in one order by construction.
//!
//! The log's reader waits when a shard's records are full; nothing a shard does waits for the log, so that
//! cannot lock up. Other inputs do not queue without bound either: a connection sends its next one only after
//! the last was taken.

mod outlet;
mod tail;
mod worker;

use std::sync::Arc;

pub use outlet::{Answer, Feed, RoomOutlet};
use shared::{RoomId, Seq, UserId};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    connection::CloseReason,
    log::{epoch::Epoch, partition_of},
    reading::{Change, Reading},
    record::Record,
    room::{Subscriber, SubscriberId},
};

/// Records that may wait for a shard.
const RECORDS: usize = 4096;

/// What a shard is told, besides records.
pub enum Input {
    /// A connection wants to follow a room.
    Subscribe {
        /// The room.
        room: RoomId,
        /// Who.
        subscriber: Subscriber,
        /// Where its frames go.
        outlet: RoomOutlet,
        /// How many older messages it wants first.
        history: u16,
        /// Dropped when the input is taken.
        taken: oneshot::Sender<()>,
    },
    /// A subscription is over.
    Unsubscribe {
        /// The room.
        room: RoomId,
        /// Which.
        id: SubscriberId,
    },
    /// A subscriber wants older records.
    History {
        /// The room.
        room: RoomId,
        /// Who.
        id: SubscriberId,
        /// Older than this.
        before: Seq,
        /// How many at most.
        limit: u16,
        /// Given after the last frame.
        answer: Answer,
        /// Dropped when the input is taken.
        taken: oneshot::Sender<()>,
    },
    /// Somebody may no longer follow the room: their subscriptions here end.
    Expel {
        /// The room.
        room: RoomId,
        /// Who; `None` for everybody.
        user: Option<UserId>,
        /// What they are told.
        reason: CloseReason,
    },
    /// The authority changed a position.
    Change {
        /// The room.
        room: RoomId,
        /// How.
        change: Change,
    },
    /// Rows of this partition before this place are in the database.
    Stored {
        /// The partition.
        partition: u16,
        /// The place.
        before: Seq,
    },
    /// Changes may have been missed: every room fetches its positions again.
    Resync,
    /// The authority has forgotten who reads on this node: every room says it again.
    Reassert,
    /// The answer to a shard's own question.
    Answer(worker::Fetched),
    /// End, once everything before this is done.
    Stop,
}

/// The way to every shard.
#[derive(Clone)]
pub struct Shards(Arc<[Handle]>);

struct Handle {
    inputs: mpsc::UnboundedSender<Input>,
    records: mpsc::Sender<Arc<Record>>,
}

/// The other ends of [`Shards`], before there are tasks.
pub struct Receivers(Vec<(mpsc::UnboundedReceiver<Input>, mpsc::Receiver<Arc<Record>>)>);

impl Shards {
    /// The way to `count` shards that are started later.
    pub fn new(count: usize) -> (Self, Receivers) {
        let (mut handles, mut receivers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (inputs, inputs_receiver) = mpsc::unbounded_channel();
            let (records, records_receiver) = mpsc::channel(RECORDS);
            handles.push(Handle { inputs, records });
            receivers.push((inputs_receiver, records_receiver));
        }
        (Self(handles.into()), Receivers(receivers))
    }

    fn of(&self, room: RoomId) -> &Handle {
        // One for each core: far fewer than a u16 counts.
        let shards = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        let shard = partition_of(room, shards);
        &self.0[usize::from(shard)]
    }

    /// Hands an input to the shard of its room.
    pub fn send(&self, room: RoomId, input: Input) {
        // A shard ends only when the node stops; what comes after that has nobody to tell.
        let _ = self.of(room).inputs.send(input);
    }

    /// A change of a room's positions.
    pub fn change(&self, room: RoomId, change: Change) {
        self.send(room, Input::Change { room, change });
    }

    /// The next record of the log; waits while the shard has too many.
    pub async fn record(&self, record: Arc<Record>) {
        let _ = self.of(record.draft.room).records.send(record).await;
    }

    /// The next record of the log, from a thread that may block.
    pub fn record_blocking(&self, record: Arc<Record>) {
        let _ = self.of(record.draft.room).records.blocking_send(record);
    }

    /// Rows of `partition` before this place are in the database.
    pub fn stored(&self, partition: u16, before: Seq) {
        for handle in &*self.0 {
            let _ = handle.inputs.send(Input::Stored { partition, before });
        }
    }

    /// Changes of positions may have been missed.
    pub fn resync(&self) {
        for handle in &*self.0 {
            let _ = handle.inputs.send(Input::Resync);
        }
    }

    /// The authority has forgotten who reads on this node.
    pub fn reassert(&self) {
        for handle in &*self.0 {
            let _ = handle.inputs.send(Input::Reassert);
        }
    }

    /// Ends every shard after what it has been sent.
    pub fn stop(&self) {
        for handle in &*self.0 {
            let _ = handle.inputs.send(Input::Stop);
        }
    }
}

impl Receivers {
    /// Starts the shards. The log's records begin at `positions`, one for each partition.
    pub fn start(
        self,
        pool: &sqlx::PgPool,
        epoch: Epoch,
        reading: &Reading,
        shards: &Shards,
        positions: &[Seq],
        compress_from: usize,
    ) -> Vec<JoinHandle<()>> {
        let start = |(handle, (inputs, records)): (&Handle, _)| {
            let deps = worker::Deps {
                pool: pool.clone(),
                epoch,
                reading: reading.clone(),
                answers: handle.inputs.clone(),
                compress_from,
            };
            tokio::spawn(worker::Worker::new(deps, positions.to_vec()).run(inputs, records))
        };
        shards.0.iter().zip(self.0).map(start).collect()
    }
}
