//! Where to read on in a partition: PostgreSQL says, and ten minutes before is where it begins.

use std::{sync::Arc, time::Duration};

use rdkafka::error::KafkaError;
use sqlx::PgPool;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Consumer,
    group::Group,
    partition::{Partition, Place},
};
use crate::{history::metrics::count, log::epoch::Epoch};

/// Between two attempts to place a partition.
const RETRY: Duration = Duration::from_millis(200);
/// Partitions whose beginning is looked for at the same time. Each takes a consumer of its own.
pub(super) const LEADS: usize = 4;

/// Why a partition has no place yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("PostgreSQL does not say how far it reaches: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("Kafka does not let it be read from there: {0}")]
    Kafka(#[from] KafkaError),
    #[error(
        "it ends at {end}, but the history reaches up to {next}: this is not the log it was written from"
    )]
    OtherLog { end: u64, next: u64 },
}

/// What has been found out for a partition.
pub(super) enum Answer {
    /// Its place, and where to begin reading, to know from there on what is a repeat.
    Place(Place, u64),
    /// The first record that Kafka has, asked for because one is missing.
    Low(u64),
    /// It is read from its position.
    Sought,
    Failed(PlaceError),
}

impl From<Result<Self, PlaceError>> for Answer {
    fn from(result: Result<Self, PlaceError>) -> Self {
        result.unwrap_or_else(Self::Failed)
    }
}

impl Consumer {
    /// Begins to find out where to read on in every partition that has no place.
    pub(super) fn place_due(&mut self) {
        let now = Instant::now();
        let due = self.unplaced.iter().filter(|(number, due)| **due <= now && !self.errands.is_out(**number));
        let due: Vec<_> = due.map(|(number, _)| *number).collect();
        for partition in due {
            let search = Search {
                group: self.group.clone(),
                pool: self.pool.clone(),
                epoch: self.epoch,
                partition,
                // What was told here since the last batch is not stored yet.
                told: self.told.get(&partition).copied().unwrap_or_default(),
                leads: self.leads.clone(),
            };
            self.errands.send(partition, async move { search.run().await.into() });
        }
    }

    /// When the next attempt to place a partition is to be made.
    pub(super) fn place_at(&self) -> Option<Instant> {
        let waiting = self.unplaced.iter().filter(|(number, _)| !self.errands.is_out(**number));
        waiting.map(|(_, due)| *due).min()
    }

    /// What was to be found out is known.
    pub(super) fn learn(&mut self, number: i32, answer: Answer) {
        match answer {
            Answer::Place(place, position) => {
                self.stays += 1;
                self.note_missing(number, place.next, place.low);
                tracing::debug!(partition = number, ?place, position, "a partition's place");
                self.engine.counters.history.reached(number, place.next);
                self.unplaced.remove(&number);
                let partition = Partition::new(self.stays, self.epoch.number, number, &place, position);
                self.partitions.insert(number, partition);
                self.seek(number);
            }
            Answer::Low(low) => self.read_again(number, low),
            Answer::Sought => {
                if let Some(partition) = self.partitions.get(&number)
                    && partition.is_overtaken
                {
                    self.seek(number);
                }
            }
            Answer::Failed(error) => {
                tracing::warn!(%error, partition = number, "a partition of the chat log has to wait for its history");
                count(&self.engine.counters.history.failures, 1);
                self.partitions.remove(&number);
                self.unplaced.insert(number, Instant::now() + RETRY);
            }
        }
    }

    /// Reads on from the partition's position. Only when it is known to be so does a gap mean anything: until then what
    /// was fetched before may come.
    pub(super) fn seek(&mut self, number: i32) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        partition.is_overtaken = false;
        let (group, position) = (self.group.clone(), partition.position);
        let seek = async move { Ok(group.seek(number, position).await.map(|()| Answer::Sought)?) };
        self.errands.send(number, async move { seek.await.into() });
    }

    /// Asks from where on Kafka has the partition.
    pub(super) fn ask_for_low(&mut self, number: i32) {
        let group = self.group.clone();
        let ask = async move { Ok(group.watermarks(number).await.map(|(low, _)| Answer::Low(low))?) };
        self.errands.send(number, async move { ask.await.into() });
    }

    /// The partition finds its place anew.
    pub(super) fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
        self.errands.recall(partition);
        self.unplaced.insert(partition, Instant::now());
    }
}

/// For the place of one partition.
struct Search {
    group: Group,
    pool: PgPool,
    epoch: Epoch,
    partition: i32,
    told: u64,
    leads: Arc<Semaphore>,
}

impl Search {
    async fn run(self) -> Result<Answer, PlaceError> {
        let (next, stored): (i64, i64) = sqlx::query_as(
            "select next_offset, told_offset from log_progress where epoch = $1 and partition = $2",
        )
        .bind(self.epoch.number.cast_signed())
        .bind(self.partition)
        .fetch_one(&self.pool)
        .await?;
        let (next, stored) = (next.cast_unsigned(), stored.cast_unsigned());
        let told = self.told.max(stored).min(next);
        let (low, end) = self.group.watermarks(self.partition).await?;
        if end < next {
            return Err(PlaceError::OtherLog { end, next });
        }
        let place = Place { next, told, begin: told.max(low), low };
        let position = if place.begin > low { self.lead(place.begin).await? } else { low };
        Ok(Answer::Place(place, position))
    }

    async fn lead(&self, begin: u64) -> Result<u64, PlaceError> {
        // Nobody closes it.
        let _permit = self.leads.acquire().await;
        Ok(self.group.lead(self.partition, begin).await?)
    }
}
