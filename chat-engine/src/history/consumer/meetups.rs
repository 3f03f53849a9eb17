//! Joinings and leavings on their way from `meetup.events` into the log: each once, however often and however late its
//! event comes.
//!
//! An event comes again when a relay died between sending and deleting it, or a node between appending and committing.
//! What repeats something of the last ten minutes no reader of the log shows; what is older is a row. So before an event is
//! appended the partition's rows are asked ([`is_shown`]), after it is known that all of the partition's records are
//! rows that came before some moment, less than half those ten minutes ago ([`Stored`]). Both together leave no gap, and
//! need no clock of another machine. It holds for somebody too who has lost the events' partition and does not know it:
//! what the new owner has appended since that moment makes a repeat of what the old one appends now.
//!
//! Each partition of the events has a queue and a task of its own, and a full queue pauses its partition instead of making
//! anybody wait: the rows that an event waits for are written by this very consumer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{Message as _, message::OwnedMessage};
use shared::event::Envelope;
use sqlx::PgPool;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    group::Group,
    stored::{Stored, StoredError, is_valid},
};
use crate::{
    engine::Engine,
    events,
    history::memberships::is_shown,
    log::{AppendError, epoch::Epoch, partition_of},
};

/// Between two attempts to append to the log.
const RETRY: Duration = Duration::from_millis(100);
/// Events of a partition that may wait.
const WAITING: usize = 256;

/// Why an event is not in the log yet.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Stored(#[from] StoredError),
    #[error("PostgreSQL does not say whether the room shows it: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the answer whether the room shows it came too late")]
    Late,
    #[error("this node has been put out of the group")]
    Expelled,
}

/// The partitions of `meetup.events` that are this node's.
pub(super) struct Meetups {
    recorder: Arc<Recorder>,
    lanes: BTreeMap<i32, Lane>,
    announce: mpsc::UnboundedSender<i32>,
    drained: mpsc::UnboundedReceiver<i32>,
}

/// A partition's events on their way.
struct Lane {
    // Never more than was fetched when the partition was paused.
    queue: mpsc::UnboundedSender<OwnedMessage>,
    waiting: Arc<AtomicUsize>,
    is_paused: bool,
    /// Ends with this: what waits is the next owner's.
    _task: JoinSet<()>,
}

impl Meetups {
    pub(super) fn new(group: Group, engine: Arc<Engine>, pool: PgPool, epoch: Epoch) -> Self {
        let (announce, drained) = mpsc::unbounded_channel();
        let stored = Stored::new(group.clone(), pool.clone(), epoch);
        let recorder = Arc::new(Recorder { group, engine, pool, partitions: epoch.partitions, stored });
        Self { recorder, lanes: BTreeMap::new(), announce, drained }
    }

    /// The partition is this node's from now on.
    pub(super) fn open(&mut self, partition: i32) {
        self.lanes.remove(&partition);
        // In case it was paused when it was this node's before.
        self.recorder.group.pause_events(partition, false);
        let (queue, messages) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        let mut task = JoinSet::new();
        let (recorder, announce) = (self.recorder.clone(), self.announce.clone());
        task.spawn(work(recorder, partition, messages, waiting.clone(), announce));
        self.lanes.insert(partition, Lane { queue, waiting, is_paused: false, _task: task });
    }

    /// It is not any more.
    pub(super) fn close(&mut self, partition: i32) {
        self.lanes.remove(&partition);
    }

    /// An event has come.
    pub(super) fn take(&mut self, message: OwnedMessage) {
        let partition = message.partition();
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        let waiting = lane.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        // The task ends with the lane.
        let _ = lane.queue.send(message);
        if waiting >= WAITING && !lane.is_paused {
            lane.is_paused = true;
            self.recorder.group.pause_events(partition, true);
        }
    }

    /// A partition whose queue has become short again. Cancel-safe.
    pub(super) async fn drained(&mut self) -> Option<i32> {
        self.drained.recv().await
    }

    /// Receives such a partition again.
    pub(super) fn go_on(&mut self, partition: i32) {
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        if lane.is_paused && lane.waiting.load(Ordering::Relaxed) < WAITING {
            lane.is_paused = false;
            self.recorder.group.pause_events(partition, false);
        }
    }
}

/// Appends what is in a queue, one after the other.
async fn work(
    recorder: Arc<Recorder>,
    partition: i32,
    mut messages: mpsc::UnboundedReceiver<OwnedMessage>,
    waiting: Arc<AtomicUsize>,
    announce: mpsc::UnboundedSender<i32>,
) {
    while let Some(message) = messages.recv().await {
        if let Some(Ok(envelope)) = message.payload().map(serde_json::from_slice::<Envelope>) {
            while let Err(error) = recorder.record(&envelope).await {
                match error {
                    // As it is whenever many join who also talk.
                    RecordError::Stored(StoredError::Behind) => {
                        tracing::debug!(event = envelope.id, "the history has to catch up first");
                    }
                    error => tracing::warn!(%error, event = envelope.id, "event not recorded, trying again"),
                }
                tokio::time::sleep(RETRY).await;
            }
        } else {
            let offset = message.offset();
            tracing::error!(partition, offset, "no event, left out");
        }
        recorder.group.commit(&message);
        if waiting.fetch_sub(1, Ordering::Relaxed) == WAITING / 2 {
            // Whoever is gone needs to know nothing.
            let _ = announce.send(partition);
        }
    }
}

/// What events are appended with.
struct Recorder {
    group: Group,
    engine: Arc<Engine>,
    pool: PgPool,
    /// Of the chat log.
    partitions: u16,
    stored: Stored,
}

impl Recorder {
    /// Appends an event, unless the room has shown it.
    async fn record(&self, envelope: &Envelope) -> Result<(), RecordError> {
        let Some(draft) = events::draft(envelope) else { return Ok(()) };
        let since = self.stored.since(partition_of(draft.room, self.partitions)).await?;
        if is_shown(&self.pool, draft.room, draft.user, envelope.id).await? {
            return Ok(());
        }
        if !is_valid(since, Instant::now()) {
            return Err(RecordError::Late);
        }
        if self.group.is_expelled() {
            return Err(RecordError::Expelled);
        }
        self.engine.log.append_durably(draft).await?;
        Ok(())
    }
}
