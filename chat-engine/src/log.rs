//! The log: every record of every room goes through it, and nobody sees one before it is durable.
//!
//! One interface, two backends: [`embedded`] commits to PostgreSQL from this process, [`kafka`] is shared by any
//! number of nodes. Both give each record its [`Seq`], hand it to the [`Shards`] in log order, and answer the
//! sender only after it is safe.
//!
//! [`Shards`]: crate::shard::Shards

pub mod bump;
pub mod embedded;
pub mod epoch;
pub mod kafka;
pub mod repeats;

use std::sync::Arc;

use rdkafka::error::KafkaError;
use repeats::Key;
use shared::{RoomId, Seq, UserId};

use crate::record::{Draft, Record};

/// Why a record was not taken, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// More is waiting than the log takes.
    #[error("the message log is overloaded: send it again, with the same client-id, in a moment")]
    Busy,
    /// The log does not answer; the record may still come to be in it.
    #[error("the message log is away: send it again, with the same client-id, in a moment")]
    Unavailable,
}

/// Why a stretch of the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StretchError {
    /// The brokers do not answer.
    #[error("the message log cannot be read: {0}")]
    Unavailable(#[from] KafkaError),
    /// It would take too long, or too many are asked for.
    #[error("the message log could not be read in time")]
    Late,
    /// It was longer ago than the log is kept, and is not in PostgreSQL either.
    #[error("the message log no longer holds this")]
    Gone,
}

/// Called once, from the log's own task or thread, when a record's fate is known. It must not block.
pub type Completion = Box<dyn FnOnce(Result<Seq, AppendError>) + Send>;

/// Where records go.
#[derive(Clone)]
pub enum Log {
    /// This process alone, into PostgreSQL.
    Embedded(embedded::EmbeddedLog),
    /// Any number of nodes, into Kafka.
    Kafka(kafka::KafkaLog),
}

impl Log {
    /// Appends a record. Never blocks; `done` is called when the record is durable, or not. A repeat is not appended,
    /// or nobody sees it: its `done` gets the place of the first.
    pub fn append(&self, draft: Draft, done: Completion) {
        match self {
            Self::Embedded(log) => log.append(draft, done),
            Self::Kafka(log) => log.append(&draft, done),
        }
    }

    /// Whether this was sent already, within the time in which a repeat is one: then appending it again only says where
    /// the first one is.
    pub fn knows(&self, room: RoomId, sender: UserId, client_id: &str) -> bool {
        let key = Key::sent(room, sender, client_id);
        match self {
            Self::Embedded(log) => log.knows(key),
            Self::Kafka(log) => log.knows(room, key),
        }
    }

    /// The records of `room` from `from` on and before `to`, repeats left out. For what PostgreSQL does not have yet
    /// and this node does not remember.
    pub async fn stretch(&self, room: RoomId, from: Seq, to: Seq) -> Result<Vec<Arc<Record>>, StretchError> {
        match self {
            // What was appended is a row.
            Self::Embedded(_) => Ok(Vec::new()),
            Self::Kafka(log) => log.stretch(room, from, to).await,
        }
    }

    /// The place behind the last record of a partition, whoever has read that; `None` where there is nobody else.
    pub async fn end(&self, partition: u16) -> Result<Option<Seq>, StretchError> {
        match self {
            Self::Embedded(_) => Ok(None),
            Self::Kafka(log) => log.end(partition).await.map(Some),
        }
    }

    /// Appends a record and waits until it is durable.
    pub async fn append_durably(&self, draft: Draft) -> Result<Seq, AppendError> {
        let (done, outcome) = tokio::sync::oneshot::channel();
        self.append(draft, Box::new(move |result| drop(done.send(result))));
        outcome.await.unwrap_or(Err(AppendError::Unavailable))
    }
}

/// The partition of a room's records. Neighbouring ids go to different partitions (the finaliser of
/// splitmix64).
pub fn partition_of(room: RoomId, partitions: u16) -> u16 {
    let mut hash = room.get().cast_unsigned();
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // The remainder is below `partitions`: nothing is cut off.
    u16::try_from(hash % u64::from(partitions)).unwrap_or(0)
}
