//! Writing the rest of a closed partition to PostgreSQL, as the history's consumer would have done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::OwnedMessage,
};
use shared::names::Topics;
use sqlx::PgPool;

use super::{BumpError, OldPartition, PATIENCE, State, fence::is_probe};
use crate::{
    history::{
        self, Stretch,
        consumer::{
            dead_letter::DeadLetters,
            writer::{Outcome, Work, Writer},
        },
        metrics::Metrics,
    },
    log::{
        epoch::Epoch,
        kafka::{
            codec,
            places::{lead, left, places, reader},
        },
        repeats::{Key, Repeats},
    },
    reading::Reading,
    record::Record,
};

/// Records of one transaction.
const BATCH: u64 = 4096;
/// Bytes of one.
const BATCH_BYTES: usize = 8 << 20;
/// Between two attempts to tell the reading state.
const TELL_AGAIN: Duration = Duration::from_millis(200);

/// Where from and where to.
pub(super) struct Drain<'a> {
    brokers: &'a str,
    topics: &'a Topics,
    epoch: Epoch,
    writer: Writer,
}

/// A partition that is being read.
struct Source {
    consumer: BaseConsumer,
    epoch: Epoch,
    repeats: Repeats,
    /// Rows of lower offsets were there before.
    stored: u64,
    /// Records before this one only tell what is a repeat.
    from: u64,
    end: u64,
}

/// What lies in a partition up to an offset, without repeats.
struct Batch {
    records: Vec<Arc<Record>>,
    poison: Vec<(OwnedMessage, String)>,
    to: u64,
}

impl<'a> Drain<'a> {
    pub(super) fn new(
        brokers: &'a str,
        topics: &'a Topics,
        epoch: Epoch,
        pool: &PgPool,
        metrics: Arc<Metrics>,
    ) -> Result<Self, KafkaError> {
        let dead_letters = DeadLetters::new(brokers, topics)?;
        let chat_topic = topics.chat_log(epoch.number).into();
        Ok(Self {
            brokers,
            topics,
            epoch,
            writer: Writer { pool: pool.clone(), dead_letters, chat_topic, metrics },
        })
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.writer.pool
    }

    /// Writes what is missing and tells the reading state, if there is one, of what it was not told.
    pub(super) async fn run_all(
        &self,
        old: &[OldPartition],
        reading: Option<&Reading>,
    ) -> Result<(), BumpError> {
        for partition in old.iter().filter(|partition| partition.state != State::Other) {
            let told = if reading.is_some() { partition.told } else { partition.stored };
            self.run(OldPartition { told, ..*partition }, reading).await?;
        }
        Ok(())
    }

    async fn run(&self, partition: OldPartition, reading: Option<&Reading>) -> Result<(), BumpError> {
        let mut source = tokio::task::spawn_blocking({
            let (brokers, topics, epoch) = (self.brokers.to_owned(), self.topics.clone(), self.epoch);
            move || Source::open(&brokers, &topics, epoch, partition)
        })
        .await
        .unwrap_or(Err(KafkaError::Canceled))?;
        let mut stored = partition.stored;
        while source.from < source.end {
            let read = tokio::task::spawn_blocking(move || {
                let batch = source.next_batch();
                (source, batch)
            });
            let (returned, batch) = read.await.map_err(|_| KafkaError::Canceled)?;
            source = returned;
            let Batch { records, poison, to } = batch?;
            let stretch = Stretch { epoch: self.epoch, partition: partition.number, from: stored, to };
            let mut work = Work { stretch, told: 0, records, poison };
            // A node that is only asleep may have written some of it meanwhile: then it is asked again how far.
            while self.writer.write(&work).await == Outcome::Lost {
                let next = history::next_offset(self.pool(), self.epoch, partition.number).await?;
                work.stretch.from = next;
                work.poison.clear();
            }
            stored = work.stretch.from.max(to);
            while let Some(reading) = reading
                && let Err(error) = reading.tell(&work.records).await
            {
                tracing::warn!(%error, "the reading state was not told, trying again");
                tokio::time::sleep(TELL_AGAIN).await;
            }
        }
        Ok(())
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
        let from = partition.told.min(partition.stored).max(partition.first);
        let begin = lead(&consumer, &topic, &[(number, from.cast_signed())], deadline)?;
        let begin = begin.get(&number).copied().unwrap_or(from.cast_signed());
        consumer.assign(&places(&topic, &[(number, begin)])?)?;
        let repeats = Repeats::new(epoch.number);
        let OldPartition { stored, end, .. } = partition;
        Ok(Self { consumer, epoch, repeats, stored, from, end })
    }

    /// The next records that are wanted. Blocks.
    fn next_batch(&mut self) -> Result<Batch, KafkaError> {
        let (mut records, mut poison, mut bytes) = (Vec::new(), Vec::new(), 0);
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
                Err(reason) => {
                    if offset >= self.stored && !is_probe(message.key(), message.payload()) {
                        poison.push((message.detach(), reason.to_string()));
                    }
                    None
                }
            };
            let key = record.as_ref().and_then(|record| Key::of(&record.draft));
            let log_time = message.timestamp().to_millis().unwrap_or(0);
            let repeat = self.repeats.take(key, self.epoch.seq(offset), log_time).is_some();
            if offset >= self.from && !repeat {
                records.extend(record.map(Arc::new));
            }
            bytes += message.payload().map_or(0, <[u8]>::len);
            if offset + 1 >= stop || offset >= self.from && bytes >= BATCH_BYTES {
                self.from = offset + 1;
                return Ok(Batch { records, poison, to: offset + 1 });
            }
        }
    }
}
