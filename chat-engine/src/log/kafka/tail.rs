//! A node's own reading of the log and of `meetup.events`: all partitions, from its own place, in no group.
//!
//! It begins where PostgreSQL ends, so that rows and tail together are the whole history, and it runs on a thread
//! of its own, because waiting for a shard must not hold up the runtime.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
    types::RDKafkaErrorCode,
};
use shared::{
    event::Envelope,
    names::{EVENT_PARTITIONS, Topics},
};

use tokio::sync::oneshot;

use super::{
    client_config, codec,
    topics::{self, PATIENCE},
};
use crate::{engine::Engine, events, log::epoch::Epoch};

/// How often the thread looks whether it is to stop.
const POLL: Duration = Duration::from_millis(100);

/// A consumer in its place, before it is running.
pub(crate) struct Tail {
    consumer: BaseConsumer,
    chat_topic: String,
    epoch: Epoch,
    /// Where each partition that was not at its end when the node started is to get to.
    behind: HashMap<i32, i64>,
}

/// A running tail.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Tail {
    /// Takes its place: at `next` in each partition of the chat log, at the end of the events. Blocks.
    pub(crate) fn assign(brokers: &str, topics: &Topics, epoch: Epoch, next: &[u64]) -> Result<Self> {
        let consumer: BaseConsumer = client_config(brokers)
            // A consumer must have a group to be assigned partitions; this one never joins it.
            .set("group.id", topics.group("tail"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.error.backoff.ms", "100")
            .create()?;
        let (chat_topic, event_topic) = (topics.chat_log(epoch.number), topics.meetup_events());
        let (mut places, mut behind) = (TopicPartitionList::new(), HashMap::new());
        for (partition, next) in (0..).zip(next) {
            let next = next.cast_signed();
            let (first, end) = watermarks(&consumer, &chat_topic, partition)?;
            if end < next || next < first {
                bail!(
                    "{chat_topic}/{partition} holds records {first} to {end}, but the history in PostgreSQL ends \
                     at {next}: this is not the log it was written from"
                );
            }
            if next < end {
                behind.insert(partition, end);
            }
            places.add_partition_offset(&chat_topic, partition, Offset::Offset(next))?;
        }
        for partition in 0..EVENT_PARTITIONS {
            let (_, end) = watermarks(&consumer, &event_topic, partition)?;
            places.add_partition_offset(&event_topic, partition, Offset::Offset(end))?;
        }
        consumer.assign(&places)?;
        Ok(Self { consumer, chat_topic, epoch, behind })
    }

    /// Reads until it is stopped.
    pub(crate) fn start(mut self, engine: Arc<Engine>) -> Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let (alive, ended) = oneshot::channel::<()>();
        let run = move || {
            let _alive = alive;
            self.note_caught_up(&engine);
            while !stopping.load(Ordering::Relaxed) {
                match self.consumer.poll(POLL) {
                    None => {}
                    Some(Ok(message)) => {
                        let place = (message.topic() == self.chat_topic)
                            .then(|| (message.partition(), message.offset()));
                        self.take(&engine, &message);
                        drop(message);
                        if let Some((partition, offset)) = place
                            && self.behind.get(&partition).is_some_and(|end| offset + 1 >= *end)
                        {
                            self.behind.remove(&partition);
                            self.note_caught_up(&engine);
                        }
                    }
                    // librdkafka goes on by itself; what it cannot mend it says again and again.
                    Some(Err(error)) => tracing::warn!(%error, "reading the log"),
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("log-tail".into())
            .spawn(run)
            .context("cannot start a thread")?;
        Ok(Running { stop, thread, ended })
    }

    fn note_caught_up(&self, engine: &Engine) {
        if self.behind.is_empty() {
            engine.caught_up.store(true, Ordering::Relaxed);
        }
    }

    fn take(&self, engine: &Engine, message: &BorrowedMessage<'_>) {
        if message.topic() == self.chat_topic {
            match codec::decode(self.epoch, message) {
                Ok(record) => engine.shards.record_blocking(Arc::new(record)),
                Err(poison) => {
                    tracing::error!(%poison, "a message in the chat log is no record, and is left out");
                }
            }
        } else {
            let envelope = message.payload().map(serde_json::from_slice::<Envelope>);
            match envelope {
                Some(Ok(envelope)) => events::learn(engine, &envelope.event),
                Some(Err(error)) => tracing::error!(%error, "a message is no event, and is left out"),
                None => {}
            }
        }
    }
}

/// The first and the next offset of a partition. Leadership may be moving, as it does just after a topic was
/// made.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, partition, PATIENCE) {
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition,
            )) if Instant::now() < deadline => std::thread::park_timeout(topics::POLL),
            result => return result,
        }
    }
}

impl Running {
    /// Ends the thread. Blocks for as long as it takes to hand over a record.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the log's reader panicked");
        }
    }

    /// Ends with the thread, which before it is stopped ends only by a panic.
    pub(crate) async fn ended(&mut self) {
        // Dropped, not sent.
        let _ = (&mut self.ended).await;
    }
}
