//! Writing the rest of a closed partition to PostgreSQL, as the history's consumer would have done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use shared::names::Topics;
use sqlx::PgPool;

use super::{BumpError, OldPartition, PATIENCE, State, fence::is_probe};
use crate::{
    history::{self, Stretch},
    log::{
        epoch::Epoch,
        kafka::{
            codec,
            places::{lead, left, places, reader, watermarks},
        },
        repeats::{Key, Repeats},
    },
    reading::Reading,
    record::Record,
};

/// Records of one transaction.
const BATCH: u64 = 4096;
/// Between two attempts to tell the reading state.
const TELL_AGAIN: Duration = Duration::from_millis(200);

/// Where from and where to.
pub(super) struct Drain<'a> {
    pub(super) brokers: &'a str,
    pub(super) topics: &'a Topics,
    pub(super) epoch: Epoch,
    pub(super) pool: &'a PgPool,
}

/// A partition that is being read.
struct Source {
    consumer: BaseConsumer,
    epoch: Epoch,
    repeats: Repeats,
    /// Records before this one only tell what is a repeat.
    from: u64,
    end: u64,
}

/// Records of a partition, without repeats.
struct Batch {
    records: Vec<Arc<Record>>,
    to: u64,
}

impl Drain<'_> {
    /// Writes what is missing and tells the reading state, if there is one, of what it was not told. How many records
    /// were written.
    pub(super) async fn run_all(
        &self,
        old: &[OldPartition],
        reading: Option<&Reading>,
    ) -> Result<u64, BumpError> {
        let mut written = 0;
        for partition in old.iter().filter(|partition| partition.state != State::Other) {
            let told = if reading.is_some() { partition.told } else { partition.stored };
            written += self.run(OldPartition { told, ..*partition }, reading).await?;
        }
        Ok(written)
    }

    async fn run(&self, partition: OldPartition, reading: Option<&Reading>) -> Result<u64, BumpError> {
        let mut source = tokio::task::spawn_blocking({
            let (brokers, topics, epoch) = (self.brokers.to_owned(), self.topics.clone(), self.epoch);
            move || Source::open(&brokers, &topics, epoch, partition)
        })
        .await
        .unwrap_or(Err(KafkaError::Canceled))?;
        let (mut stored, mut written) = (partition.stored, 0);
        while source.from < source.end {
            let read = tokio::task::spawn_blocking(move || {
                let batch = source.next_batch();
                (source, batch)
            });
            let (returned, batch) = read.await.map_err(|_| KafkaError::Canceled)?;
            source = returned;
            let Batch { records, to } = batch?;
            // A node that is only asleep may have written some of it meanwhile: then it is asked again how far.
            while stored < to {
                let new = records.partition_point(|record| record.seq < self.epoch.seq(stored));
                let stretch = Stretch { epoch: self.epoch, partition: partition.number, from: stored, to };
                if history::write_many(self.pool, stretch, 0, &records[new..]).await? {
                    written += (records.len() - new) as u64;
                    stored = to;
                } else {
                    stored = history::next_offset(self.pool, self.epoch, partition.number).await?;
                }
            }
            while let Some(reading) = reading
                && let Err(error) = reading.tell(&records).await
            {
                tracing::warn!(%error, "the reading state was not told, trying again");
                tokio::time::sleep(TELL_AGAIN).await;
            }
        }
        Ok(written)
    }
}

impl Source {
    fn open(
        brokers: &str,
        topics: &Topics,
        epoch: Epoch,
        partition: OldPartition,
    ) -> Result<Self, KafkaError> {
        let deadline = Instant::now() + PATIENCE;
        let (topic, number) = (topics.chat_log(epoch.number), i32::from(partition.number));
        let consumer = reader(brokers, topics, "bump")?;
        // It is closed: this is its end for good.
        let (_, end) = watermarks(&consumer, &topic, number, deadline)?;
        let from = partition.told.min(partition.stored).max(partition.first);
        let begin = lead(&consumer, &topic, &[(number, from.cast_signed())], deadline)?;
        let begin = begin.get(&number).copied().unwrap_or(from.cast_signed());
        consumer.assign(&places(&topic, &[(number, begin)])?)?;
        let repeats = Repeats::new(epoch.number);
        Ok(Self { consumer, epoch, repeats, from, end: end.unsigned_abs() })
    }

    /// The next records that are wanted. Blocks.
    fn next_batch(&mut self) -> Result<Batch, KafkaError> {
        let mut records = Vec::new();
        let stop = self.end.min(self.from + BATCH);
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let message = match self.consumer.poll(left(deadline)) {
                Some(Ok(message)) => message,
                Some(Err(error)) if Instant::now() >= deadline => return Err(error),
                Some(Err(error)) => {
                    tracing::warn!(%error, "reading the log that is to end");
                    continue;
                }
                None if Instant::now() >= deadline => return Err(KafkaError::Canceled),
                None => continue,
            };
            deadline = Instant::now() + PATIENCE;
            let offset = message.offset().unsigned_abs();
            let record = match codec::decode(self.epoch, &message) {
                Ok(record) => Some(record),
                Err(_) if is_probe(message.key(), message.payload()) => None,
                Err(poison) => {
                    tracing::error!(%poison, "a message in the chat log is no record, and is left out");
                    None
                }
            };
            let key = record.as_ref().and_then(|record| Key::of(&record.draft));
            let log_time = message.timestamp().to_millis().unwrap_or(0);
            let repeat = self.repeats.take(key, self.epoch.seq(offset), log_time).is_some();
            if offset >= self.from && !repeat {
                records.extend(record.map(Arc::new));
            }
            if offset + 1 >= stop {
                self.from = offset + 1;
                return Ok(Batch { records, to: offset + 1 });
            }
        }
    }
}
