//! The log that any number of nodes share: one Kafka topic for each epoch, keyed by room.
//!
//! A record is acknowledged by every in-sync copy before its sender hears of it (`acks=all`), and the client's own
//! retries cannot repeat or reorder it (an idempotent producer). Every node reads the whole log back for itself,
//! see [`tail`]; one of them writes each partition to PostgreSQL, see [`consumer`](crate::history::consumer).

pub mod codec;
pub mod tail;
mod topics;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
    util::Timeout,
};
use shared::names::Topics;
pub use topics::{TopicError, ensure};

use super::{AppendError, Completion, epoch::Epoch, partition_of};
use crate::record::Draft;

/// How long a sender waits for brokers that do not answer.
const PATIENCE_MS: &str = "5000";
/// How long the producer gathers records into one request. Latency first: under load requests are in flight
/// anyway, and records gather behind them.
const LINGER_MS: &str = "0";
/// How long a node that stops waits for its last records.
const DRAIN: Duration = Duration::from_secs(10);

/// What every client of these brokers is configured with.
pub fn client_config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "moyiza-engine")
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.nagle.disable", "true");
    config
}

/// Takes records to Kafka.
#[derive(Clone)]
pub struct KafkaLog {
    producer: Arc<ThreadedProducer<Deliveries>>,
    topic: Arc<str>,
    epoch: Epoch,
}

/// Answers senders from the producer's own thread.
struct Deliveries {
    epoch: Epoch,
}

/// A completion on its way through the producer, which wants its values to be `Sync`.
type Waiting = Box<Mutex<Option<Completion>>>;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Waiting;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Waiting) {
        let outcome = match result {
            // Offsets of delivered records are not negative.
            Ok(message) => Ok(self.epoch.seq(message.offset().unsigned_abs())),
            Err((error, _)) => {
                tracing::warn!(%error, "a record did not reach Kafka");
                Err(AppendError::Unavailable)
            }
        };
        if let Some(done) = waiting.lock().take() {
            done(outcome);
        }
    }
}

impl KafkaLog {
    /// A producer for the epoch's topic.
    pub fn new(brokers: &str, topics: &Topics, epoch: Epoch) -> Result<Self, KafkaError> {
        let producer = client_config(brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", LINGER_MS)
            .set("message.timeout.ms", PATIENCE_MS)
            .create_with_context(Deliveries { epoch })?;
        Ok(Self { producer: Arc::new(producer), topic: topics.chat_log(epoch.number).into(), epoch })
    }

    pub(super) fn append(&self, draft: &Draft, done: Completion) {
        let key = draft.room.to_string();
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(Mutex::new(Some(done))))
            .partition(partition_of(draft.room, self.epoch.partitions).into())
            .key(&key)
            .payload(&draft.body[..])
            .timestamp(draft.sent_at_ms)
            .headers(codec::headers(draft));
        if let Err((error, record)) = self.producer.send(record) {
            tracing::warn!(%error, "Kafka's producer takes no more records");
            if let Some(done) = record.delivery_opaque.lock().take() {
                done(Err(AppendError::Busy));
            }
        }
    }

    /// Ends when this producer will never send again, and says why: the brokers have lost what its idempotence
    /// stands on, and only a new producer, with a new start, can go on.
    pub(crate) async fn broken(&self) -> String {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        loop {
            every.tick().await;
            if let Some((code, reason)) = self.producer.client().fatal_error() {
                return format!("{code}: {reason}");
            }
        }
    }

    /// Waits until every record has its outcome. Blocks.
    pub fn drain(&self) {
        if let Err(error) = self.producer.flush(Timeout::After(DRAIN)) {
            tracing::warn!(%error, "records were still on their way to Kafka");
        }
    }
}
