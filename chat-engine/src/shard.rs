//! Shards: each a task that owns a part of the rooms. Nobody else touches a room's state, so there is no lock
//! around it, and everything about a room is in one order by construction.
//!
//! The log's reader waits when a shard's records are full; nothing a shard does waits for the log, so that
//! cannot lock up. Other inputs do not queue without bound either: a connection sends its next one only after
//! the last was taken.

mod inboxes;
mod outlet;
mod page;
mod reader;
mod tail;
mod worker;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub use inboxes::{FirstRound, InboxInput, InboxOutlet, ROOMS, Taken};
pub use outlet::{Answer, Feed, RoomOutlet};
pub use page::{MessagePage, Place};
pub use reader::Unavailable;
use shared::{RoomId, Seq, UserId};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    connection::CloseReason,
    history::Found,
    log::{Log, epoch::Epoch, partition_of},
    reading::{Change, Life, Reading},
    record::Record,
    room::{Subscriber, SubscriberId},
    timing::Timing,
};

/// Records that may wait for a shard.
const RECORDS: usize = 4096;

/// What shards are to keep to.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Frames of fewer bytes are not compressed.
    pub compress_from: usize,
    /// Memory for the end of the log, of all shards together.
    pub tail_bytes: usize,
    /// Records that are replayed at most to who has missed them.
    pub max_replay: u16,
    /// Bytes of bodies that one client is sent at once at most: more would not fit its queue.
    pub max_sent: usize,
    /// How often it is written down how far those have read who are reading.
    pub journal_every: Duration,
}

/// What a subscriber wants to have before it follows.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Everything after this place.
    pub after: Option<Seq>,
    /// So many older records; with `after` only where that is too long ago.
    pub history: u16,
}

/// A message that somebody wants to change or to answer.
#[derive(Debug)]
pub struct Target {
    /// The message, if there is one.
    pub found: Option<Found>,
    /// The last thing that is known to have become of it.
    pub change: Option<Arc<Record>>,
}

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
        /// What it wants first.
        wanted: Wanted,
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
    /// A subscriber has acknowledged what it was sent.
    Acknowledge {
        /// The room.
        room: RoomId,
        /// Who.
        id: SubscriberId,
        /// Everything up to here.
        seq: Seq,
        /// Dropped when the input is taken.
        taken: oneshot::Sender<()>,
    },
    /// A subscriber wants older records.
    History {
        /// The room.
        room: RoomId,
        /// Who.
        id: SubscriberId,
        /// From where.
        place: Place,
        /// How many at most.
        limit: u16,
        /// Given after the last frame.
        answer: Answer,
        /// Dropped when the input is taken.
        taken: oneshot::Sender<()>,
    },
    /// Somebody without a subscription wants older records.
    Page {
        /// The room.
        room: RoomId,
        /// From where.
        place: Place,
        /// How many at most.
        limit: u16,
        /// Who waits.
        reply: oneshot::Sender<Result<MessagePage, Unavailable>>,
    },
    /// Somebody wants to know what has become of a message.
    Find {
        /// The room.
        room: RoomId,
        /// Which.
        seq: Seq,
        /// Who waits.
        reply: oneshot::Sender<Result<Target, Unavailable>>,
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
    /// What the authority has of a room by now.
    Latest {
        /// The room.
        room: RoomId,
        /// In which life.
        life: Life,
        /// The version of its last change.
        version: u64,
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
    /// Changes may have been missed: every room asks for what it lacks.
    Resync,
    /// The authority has forgotten who reads on this node: every room says it again.
    Reassert,
    /// Of lists of rooms.
    Inbox(InboxInput),
    /// The answer to a shard's own question.
    Answer(worker::Fetched),
    /// End, once everything before this is done.
    Stop,
}

/// The way to every shard.
#[derive(Clone)]
pub struct Shards(Arc<Ways>);

struct Ways {
    handles: Vec<Handle>,
    /// Where records are read back that neither memory nor database has.
    log: Arc<OnceLock<Log>>,
    reads: Arc<AtomicU64>,
    timing: Arc<Timing>,
}

struct Handle {
    inputs: mpsc::UnboundedSender<Input>,
    records: mpsc::Sender<Arrived>,
}

/// A record, and when it was read from the log.
type Arrived = (Instant, Arc<Record>);

/// The other ends of [`Shards`], before there are tasks.
pub struct Receivers(Vec<(mpsc::UnboundedReceiver<Input>, mpsc::Receiver<Arrived>)>);

impl Shards {
    /// The way to `count` shards that are started later.
    pub fn new(count: usize, timing: Arc<Timing>) -> (Self, Receivers) {
        let (mut handles, mut receivers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (inputs, inputs_receiver) = mpsc::unbounded_channel();
            let (records, records_receiver) = mpsc::channel(RECORDS);
            handles.push(Handle { inputs, records });
            receivers.push((inputs_receiver, records_receiver));
        }
        let ways = Ways { handles, log: Arc::default(), reads: Arc::default(), timing };
        (Self(Arc::new(ways)), Receivers(receivers))
    }

    /// Where records are that neither memory nor database has.
    pub fn set_log(&self, log: Log) {
        // Called once, by who starts the node.
        let _ = self.0.log.set(log);
    }

    /// Where it is noted how long messages take.
    pub fn timing(&self) -> &Arc<Timing> {
        &self.0.timing
    }

    /// How often history was read from the database.
    pub fn history_reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    fn of(&self, room: RoomId) -> &Handle {
        &self.0.handles[self.number(room)]
    }

    fn number(&self, room: RoomId) -> usize {
        // One for each core: far fewer than a u16 counts.
        let shards = u16::try_from(self.0.handles.len()).unwrap_or(u16::MAX);
        partition_of(room, shards).into()
    }

    /// Hands an input to the shard of its room.
    pub fn send(&self, room: RoomId, input: Input) {
        // A shard ends only when the node stops; what comes after that has nobody to tell.
        let _ = self.of(room).inputs.send(input);
    }

    /// A list of rooms begins: these rooms. Every shard drops `taken`, also who has none of them: that the list is over is
    /// told to all, and the next one begins only when they have come so far.
    pub fn begin_inbox(
        &self,
        outlet: &Arc<InboxOutlet>,
        rooms: &[RoomId],
        round: &Arc<FirstRound>,
        taken: &Taken,
    ) {
        let mut by_shard = vec![Vec::new(); self.0.handles.len()];
        for room in rooms {
            by_shard[self.number(*room)].push(*room);
        }
        for (handle, rooms) in self.0.handles.iter().zip(by_shard) {
            let round = (!rooms.is_empty()).then(|| round.clone());
            let (outlet, taken) = (outlet.clone(), taken.clone());
            let _ = handle.inputs.send(Input::Inbox(InboxInput::Begin { outlet, rooms, round, taken }));
        }
    }

    /// A list of rooms is over.
    pub fn end_inbox(&self, id: SubscriberId) {
        for handle in &self.0.handles {
            let _ = handle.inputs.send(Input::Inbox(InboxInput::End(id)));
        }
    }

    /// What the authority has of a room by now: changes up to there are in this node's copy, or have been missed.
    pub fn latest(&self, room: RoomId, life: Life, version: u64) {
        self.send(room, Input::Latest { room, life, version });
    }

    /// A change of a room's positions.
    pub fn change(&self, room: RoomId, change: Change) {
        self.send(room, Input::Change { room, change });
    }

    /// The next record of the log; waits while the shard has too many.
    pub async fn record(&self, record: Arc<Record>) {
        let _ = self.of(record.draft.room).records.send((Instant::now(), record)).await;
    }

    /// The next record of the log, from a thread that may block.
    pub fn record_blocking(&self, record: Arc<Record>) {
        let _ = self.of(record.draft.room).records.blocking_send((Instant::now(), record));
    }

    /// Rows of `partition` before this place are in the database.
    pub fn stored(&self, partition: u16, before: Seq) {
        for handle in &self.0.handles {
            let _ = handle.inputs.send(Input::Stored { partition, before });
        }
    }

    /// Changes of positions may have been missed.
    pub fn resync(&self) {
        for handle in &self.0.handles {
            let _ = handle.inputs.send(Input::Resync);
        }
    }

    /// The authority has forgotten who reads on this node.
    pub fn reassert(&self) {
        for handle in &self.0.handles {
            let _ = handle.inputs.send(Input::Reassert);
        }
    }

    /// Ends every shard after what it has been sent.
    pub fn stop(&self) {
        for handle in &self.0.handles {
            let _ = handle.inputs.send(Input::Stop);
        }
    }
}

impl Receivers {
    /// What a shard is told next, if it has been told something.
    #[cfg(test)]
    pub(crate) fn next(&mut self, shard: usize) -> Option<Input> {
        self.0[shard].0.try_recv().ok()
    }

    /// Starts the shards. The log's records begin at `positions`, one for each partition.
    pub fn start(
        self,
        pool: &sqlx::PgPool,
        epoch: Epoch,
        reading: &Reading,
        shards: &Shards,
        positions: &[Seq],
        mut tuning: Tuning,
    ) -> Vec<JoinHandle<()>> {
        tuning.tail_bytes /= shards.0.handles.len().max(1);
        let turns = reader::Turns::default();
        let start = |(handle, (inputs, records)): (&Handle, _)| {
            let reader = reader::Reader {
                pool: pool.clone(),
                epoch,
                log: shards.0.log.clone(),
                reads: shards.0.reads.clone(),
                turns: turns.clone(),
            };
            let deps = worker::Deps {
                reader,
                epoch,
                reading: reading.clone(),
                answers: handle.inputs.clone(),
                timing: shards.0.timing.clone(),
                tuning,
            };
            tokio::spawn(worker::Worker::new(deps, positions.to_vec()).run(inputs, records))
        };
        shards.0.handles.iter().zip(self.0).map(start).collect()
    }
}
