//! The consumer group that turns the log into rows: each partition is read by one node, in batches, each batch one
//! statement that also moves the partition's stored offset. The offset in PostgreSQL decides what is a row
//! already; the group's own offset only says what Redis has been told, and lags behind.
//!
//! The same group takes `meetup.events` and writes joinings and leavings to the log.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, KafkaResult},
    message::OwnedMessage,
};
use shared::{event::Envelope, names::Topics};
use sqlx::PgPool;
use tokio::{sync::watch, time::Instant};

use super::{next_offset, write};
use crate::{
    engine::Engine,
    events,
    log::{
        epoch::Epoch,
        kafka::{client_config, codec},
    },
    reading::Reading,
};

/// Messages of one batch.
const BATCH: usize = 4096;
/// How long a batch gathers.
const GATHER: Duration = Duration::from_millis(50);
/// Between two attempts to reach PostgreSQL.
const RETRY: Duration = Duration::from_millis(200);

/// A member of the group, before it reads.
pub(crate) struct HistoryConsumer {
    consumer: StreamConsumer,
    chat_topic: String,
    pool: PgPool,
    epoch: Epoch,
    reading: Reading,
    /// The stored offset of each partition that was written here. Somebody else may have moved it since.
    next: HashMap<i32, u64>,
}

impl HistoryConsumer {
    /// Joins the group.
    pub(crate) fn join(
        brokers: &str,
        topics: &Topics,
        pool: PgPool,
        epoch: Epoch,
        reading: Reading,
    ) -> KafkaResult<Self> {
        let consumer: StreamConsumer = client_config(brokers)
            .set("group.id", topics.group("history"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            // The shortest that brokers allow: a dead node's partitions wait no longer.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500")
            .create()?;
        let chat_topic = topics.chat_log(epoch.number);
        consumer.subscribe(&[&chat_topic, &topics.meetup_events()])?;
        Ok(Self { consumer, chat_topic, pool, epoch, reading, next: HashMap::new() })
    }

    /// Consumes until `stop` changes.
    pub(crate) async fn run(mut self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        loop {
            let batch = tokio::select! {
                // Cancel-safe: an unfinished batch is read again, its offsets are not committed.
                batch = self.gather() => batch,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let work = async {
                let (chat, events): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|m| m.topic() == self.chat_topic);
                self.write_chat(chat).await;
                self.record_events(&engine, events).await;
            };
            tokio::select! {
                // Cancel-safe: a batch is one transaction, and everything after it may be repeated.
                () = work => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn gather(&self) -> Vec<OwnedMessage> {
        let mut batch = Vec::new();
        let mut until = None;
        loop {
            let received = match until {
                None => self.consumer.recv().await,
                Some(until) => match tokio::time::timeout_at(until, self.consumer.recv()).await {
                    Ok(received) => received,
                    Err(_) => return batch,
                },
            };
            match received {
                Ok(message) => batch.push(message.detach()),
                Err(error) => tracing::warn!(%error, "consuming the log"),
            }
            if batch.len() >= BATCH {
                return batch;
            }
            until.get_or_insert_with(|| Instant::now() + GATHER);
        }
    }

    async fn write_chat(&mut self, messages: Vec<OwnedMessage>) {
        let mut partitions: BTreeMap<i32, Vec<OwnedMessage>> = BTreeMap::new();
        for message in messages {
            partitions.entry(message.partition()).or_default().push(message);
        }
        for (partition, messages) in partitions {
            let first = messages.first().map_or(0, Message::offset);
            let last = messages.last().map_or(0, Message::offset);
            let mut records = Vec::with_capacity(messages.len());
            for message in &messages {
                match codec::decode(self.epoch, message) {
                    Ok(record) => records.push(Arc::new(record)),
                    Err(poison) => {
                        tracing::error!(%poison, "a message in the chat log is no record, and is left out");
                    }
                }
            }
            while let Err(error) =
                self.write_partition(partition, first.unsigned_abs(), last.unsigned_abs() + 1, &records).await
            {
                tracing::warn!(%error, partition, "history not written, trying again");
                tokio::time::sleep(RETRY).await;
            }
            self.reading.tell(&records).await;
            self.commit(&messages);
        }
    }

    /// Writes what is not a row yet of the records from offset `first` to before `to`.
    async fn write_partition(
        &mut self,
        partition: i32,
        first: u64,
        to: u64,
        records: &[Arc<crate::record::Record>],
    ) -> sqlx::Result<()> {
        // Kafka counts a topic's partitions from 0; ours has at most 1024.
        let number = u16::try_from(partition).unwrap_or(u16::MAX);
        loop {
            let next = match self.next.get(&partition) {
                Some(next) => *next,
                None => next_offset(&self.pool, self.epoch, number).await?,
            };
            if to <= next {
                return Ok(());
            }
            if next < first {
                // Kafka no longer has them: they were longer away from PostgreSQL than the log is kept.
                tracing::error!(partition, from = next, to = first, "records are missing from the history");
            }
            let new = records.partition_point(|record| record.seq < self.epoch.seq(next));
            if write(&self.pool, self.epoch, number, next, to, &records[new..]).await? {
                self.next.insert(partition, to);
                return Ok(());
            }
            // Another node has written since this one last did.
            self.next.remove(&partition);
        }
    }

    async fn record_events(&self, engine: &Engine, messages: Vec<OwnedMessage>) {
        for message in &messages {
            let envelope = message.payload().map(serde_json::from_slice::<Envelope>);
            let Some(Ok(envelope)) = envelope else {
                tracing::error!(
                    partition = message.partition(),
                    offset = message.offset(),
                    "no event, left out"
                );
                continue;
            };
            while let Err(error) = events::record(engine, &envelope).await {
                tracing::warn!(%error, event = envelope.id, "event not recorded, trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
        self.commit(&messages);
    }

    fn commit(&self, messages: &[OwnedMessage]) {
        let mut done = TopicPartitionList::new();
        let mut last: BTreeMap<(&str, i32), i64> = BTreeMap::new();
        for message in messages {
            last.insert((message.topic(), message.partition()), message.offset());
        }
        for ((topic, partition), offset) in last {
            // Never fails for a positive offset.
            let _ = done.add_partition_offset(topic, partition, Offset::Offset(offset + 1));
        }
        match self.consumer.commit(&done, CommitMode::Async) {
            // Nothing to commit, or the partitions are another node's by now: it reads from the last commit.
            Ok(()) | Err(KafkaError::ConsumerCommit(_)) => {}
            Err(error) => tracing::warn!(%error, "offsets not committed"),
        }
    }
}

/// Tells the shards how far PostgreSQL reaches, so that they let go of what is stored.
pub(crate) async fn watch_progress(pool: PgPool, epoch: Epoch, shards: crate::shard::Shards) {
    let mut known: HashMap<i32, i64> = HashMap::new();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let rows: sqlx::Result<Vec<(i32, i64)>> =
            sqlx::query_as("select partition, next_offset from log_progress where epoch = $1")
                .bind(epoch.number.cast_signed())
                .fetch_all(&pool)
                .await;
        // While the database is away nothing new is stored either.
        for (partition, next) in rows.unwrap_or_default() {
            if known.insert(partition, next) != Some(next)
                && let Ok(number) = u16::try_from(partition)
            {
                shards.stored(number, epoch.seq(next.cast_unsigned()));
            }
        }
    }
}
