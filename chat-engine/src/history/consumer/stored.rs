//! Since when each partition of the chat log may hold records that are no rows: all that came before is in PostgreSQL.
//!
//! Who asks PostgreSQL whether something was ever in the log must know that. What has come since, the log's readers know to
//! be a repeat if it is one, as long as that is not longer ago than their window.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::PgPool;

use super::group::Group;
use crate::{history::next_offset, log::epoch::Epoch};

/// For how long the answer counts: half of the readers' window. The other half is for the brokers' clocks, and for a record
/// on its way.
const VALID: Duration = Duration::from_mins(5);
/// When it is time for a newer one, so that nobody waits for it as long as the history keeps up.
const FRESH: Duration = Duration::from_mins(1);

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoredError {
    #[error("Kafka does not say where the chat log ends: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("PostgreSQL does not say how far it reaches: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the history is behind the chat log")]
    Behind,
}

/// Of all partitions of one epoch.
pub(super) struct Stored {
    group: Group,
    pool: PgPool,
    epoch: Epoch,
    partitions: Vec<Mutex<Partition>>,
}

#[derive(Debug, Default)]
struct Partition {
    /// All that came before is rows.
    since: Option<Instant>,
    /// All that came before will be rows when PostgreSQL reaches the offset.
    next: Option<(Instant, u64)>,
}

impl Partition {
    /// Whether it is time to ask where the partition ends.
    fn is_old(&self, now: Instant) -> bool {
        self.next.is_none() && self.since.is_none_or(|since| now - since >= FRESH)
    }

    /// Asked at `now`, the partition ended at `end`, or behind it.
    fn ends(&mut self, now: Instant, end: u64) {
        self.next.get_or_insert((now, end));
    }

    /// PostgreSQL reaches up to `offset`.
    fn reaches(&mut self, offset: u64) {
        if let Some((asked, _)) = self.next.take_if(|(_, end)| *end <= offset) {
            self.since = Some(asked);
        }
    }

    fn since(&self, now: Instant) -> Option<Instant> {
        self.since.filter(|since| is_valid(*since, now))
    }
}

/// Whether the answer still counts.
pub(super) fn is_valid(since: Instant, now: Instant) -> bool {
    now - since < VALID
}

impl Stored {
    pub(super) fn new(group: Group, pool: PgPool, epoch: Epoch) -> Self {
        let partitions = std::iter::repeat_with(Mutex::default).take(epoch.partitions.into()).collect();
        Self { group, pool, epoch, partitions }
    }

    /// All records that came to the partition before this moment are rows.
    pub(super) async fn since(&self, partition: u16) -> Result<Instant, StoredError> {
        // The caller's come from `partition_of`.
        let known = &self.partitions[usize::from(partition)];
        let now = Instant::now();
        if known.lock().is_old(now) {
            let (_, end) = self.group.watermarks(partition.into()).await?;
            known.lock().ends(now, end);
        }
        if known.lock().next.is_some() {
            let offset = next_offset(&self.pool, self.epoch, partition).await?;
            known.lock().reaches(offset);
        }
        known.lock().since(Instant::now()).ok_or(StoredError::Behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_row_yet_came_after_the_end_that_postgres_has_reached_was_asked_for() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let almost = |whole: Duration| start + whole.saturating_sub(second);
        let mut partition = Partition::default();
        assert!(partition.is_old(start));
        partition.ends(start, 10);
        assert!(!partition.is_old(start), "one question at a time");
        partition.reaches(9);
        assert_eq!(partition.since(start + second), None);
        // Another one asked at the same time.
        partition.ends(start + second, 20);
        partition.reaches(10);
        assert_eq!(partition.since(start + second), Some(start));
        assert!(!partition.is_old(almost(FRESH)));
        assert!(partition.is_old(start + FRESH));
        // The next answer is waited for while this one still counts.
        partition.ends(start + FRESH, 30);
        partition.reaches(29);
        assert_eq!(partition.since(almost(VALID)), Some(start));
        assert_eq!(partition.since(start + VALID), None);
        partition.reaches(30);
        assert_eq!(partition.since(start + VALID), Some(start + FRESH));
    }
}
