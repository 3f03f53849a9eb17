//! What the consumer knows of a partition, and the batch that it gathers.

use std::sync::Arc;

use rdkafka::{Message as _, message::OwnedMessage};
use tokio::{task::AbortHandle, time::Instant};

use crate::{log::repeats::Repeats, record::Record};

/// A partition that has been placed: PostgreSQL has said how far it reaches.
pub(super) struct Partition {
    /// Tells this stay from an earlier one, whose last write may still be on its way.
    pub(super) stay: u64,
    pub(super) number: u16,
    /// Rows of every lower offset are in the database.
    pub(super) next: u64,
    /// The reading state has been told of every lower offset.
    pub(super) told: u64,
    /// What comes before this only teaches what is a repeat.
    pub(super) begin: u64,
    /// The offset that is to come now.
    pub(super) position: u64,
    /// A gap before this place was asked for once more, and is there.
    pub(super) asked_again: Option<u64>,
    pub(super) repeats: Repeats,
    pub(super) batch: Batch,
    pub(super) writing: Option<AbortHandle>,
    /// Batches that the reading state is being told of.
    pub(super) telling: usize,
    /// The reading state has missed some, and has to be told from `told` on when it is back.
    pub(super) behind: bool,
}

/// Where a partition stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) partition: i32,
    /// Its next row.
    pub(super) next: u64,
    /// What the reading state is to be told of next.
    pub(super) told: u64,
    /// The first record that is needed.
    pub(super) begin: u64,
    /// The first that Kafka has.
    pub(super) low: u64,
}

impl Partition {
    pub(super) fn new(stay: u64, epoch: u16, place: &Place, position: u64) -> Self {
        Self {
            stay,
            // Kafka counts a topic's partitions from 0; ours has at most 1024.
            number: u16::try_from(place.partition).unwrap_or(u16::MAX),
            next: place.next,
            told: place.told,
            begin: place.begin,
            position,
            asked_again: None,
            repeats: Repeats::new(epoch),
            batch: Batch::default(),
            writing: None,
            telling: 0,
            behind: false,
        }
    }
}

/// Consecutive records on their way to the database.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Arc<Record>>,
    /// What is no record, and why.
    pub(super) poison: Vec<(OwnedMessage, String)>,
    /// The offset behind the last.
    pub(super) to: u64,
    pub(super) bytes: usize,
    /// When its first one came.
    pub(super) since: Option<Instant>,
}

impl Batch {
    /// Takes what lies at `offset`; `None` for a repeat, which nobody needs but which the next offset passes.
    pub(super) fn push(&mut self, offset: u64, record: Option<Record>) {
        self.since.get_or_insert_with(Instant::now);
        self.to = offset + 1;
        if let Some(record) = record {
            self.bytes += record.draft.body.len();
            self.records.push(Arc::new(record));
        }
    }

    pub(super) fn push_poison(&mut self, offset: u64, message: OwnedMessage, reason: String) {
        self.push(offset, None);
        self.bytes += message.payload().map_or(0, <[u8]>::len);
        self.poison.push((message, reason));
    }

    pub(super) fn len(&self) -> usize {
        self.records.len() + self.poison.len()
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Some(writing) = &self.writing {
            writing.abort();
        }
    }
}
