//! The log that any number of nodes share: one Kafka topic for each epoch, keyed by room.
//!
//! A record is acknowledged by every in-sync copy before its sender hears of it (`acks=all`), and the client's own
//! retries cannot repeat or reorder it (an idempotent producer). Every node reads the whole log back for itself,
//! see [`tail`]; one of them writes each partition to PostgreSQL, see [`consumer`](crate::history::consumer). What a
//! sender sends again is told from what is new by [`window`].

pub mod codec;
pub(crate) mod places;
mod standstill;
mod stretch;
pub(crate) mod tail;
pub(crate) mod topics;
mod window;

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
    util::Timeout,
};
use shared::{RoomId, Seq, config::EngineSettings, names::Topics};
use stretch::Stretches;
use tokio::sync::watch;
pub(crate) use topics::fence;
pub use topics::{TopicError, ensure};
use window::{Backwards, Begun, Ticket, Window};

use super::{AppendError, Completion, StretchError, epoch::Epoch, partition_of, repeats::Key};
use crate::{
    record::{Draft, Record, now_ms},
    timing::Timing,
};

/// What the producer holds at most, in KiB: with the brokers away it fills within `log_timeout_ms`, then senders are
/// told that the log is overloaded.
const PRODUCER_KBYTES: &str = "131072";
/// How long a node that stops waits for its last records.
const DRAIN: Duration = Duration::from_secs(10);
/// How often it is looked whose patience is at its end, and whether the producer is.
const LOOK: Duration = Duration::from_millis(100);

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

/// How records are sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long the producer gathers records into one request. None: under load requests are in flight anyway, and
    /// records gather behind them.
    pub linger_ms: u16,
    /// How long a sender waits for brokers that do not answer.
    pub timeout_ms: u32,
}

impl From<&EngineSettings> for Pace {
    fn from(settings: &EngineSettings) -> Self {
        Self { linger_ms: settings.log_linger_ms, timeout_ms: settings.log_timeout_ms }
    }
}

/// Takes records to Kafka.
#[derive(Clone)]
pub struct KafkaLog(Arc<Shared>);

struct Shared {
    /// Replaced when it can send no more.
    producer: RwLock<Arc<ThreadedProducer<Deliveries>>>,
    config: ClientConfig,
    deliveries: Deliveries,
    topic: String,
    epoch: Epoch,
    stretches: Stretches,
}

/// Answers senders from the producer's own thread.
#[derive(Clone)]
struct Deliveries {
    window: Arc<Window>,
    /// Why nothing more is to be sent.
    lost: Arc<watch::Sender<Option<Backwards>>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        match result {
            // What comes after a record that was in the wrong log is in the wrong log too.
            Ok(_) if self.lost.borrow().is_some() => self.window.failed(&ticket, &AppendError::Unavailable),
            // Offsets of delivered records are not negative.
            Ok(message) => {
                if let Err(lost) = self.window.delivered(&ticket, message.offset().unsigned_abs()) {
                    self.lost.send_replace(Some(lost));
                }
            }
            Err((error, _)) => {
                tracing::warn!(%error, "a record did not reach Kafka");
                self.window.failed(&ticket, &AppendError::Unavailable);
            }
        }
    }
}

impl KafkaLog {
    /// A producer for the epoch's topic. In a runtime. A record with a client-id is answered when a tail has passed it:
    /// who has none sends without.
    pub fn new(
        brokers: &str,
        topics: &Topics,
        epoch: Epoch,
        pace: Pace,
        timing: Arc<Timing>,
    ) -> Result<Self, KafkaError> {
        let patience = Duration::from_millis(pace.timeout_ms.into());
        let window = Arc::new(Window::new(epoch, patience, timing));
        let deliveries = Deliveries { window: window.clone(), lost: Arc::new(watch::Sender::new(None)) };
        let mut config = client_config(brokers);
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // What comes meanwhile goes with the next request. With the five that are allowed, records that wait for one of
            // them make librdkafka's threads spin: two thirds of the engine's CPU, and delays four times as long, at 500
            // records a second on two busy cores.
            .set("max.in.flight.requests.per.connection", "1")
            .set("linger.ms", pace.linger_ms.to_string())
            .set("message.timeout.ms", pace.timeout_ms.to_string())
            .set("queue.buffering.max.kbytes", PRODUCER_KBYTES);
        let producer = RwLock::new(Arc::new(config.create_with_context(deliveries.clone())?));
        let (topic, stretches) = (topics.chat_log(epoch.number), Stretches::new(brokers, topics, epoch));
        tokio::spawn(give_up(Arc::downgrade(&window)));
        Ok(Self(Arc::new(Shared { producer, config, deliveries, topic, epoch, stretches })))
    }

    pub(super) fn append(&self, draft: &Draft, done: Completion) {
        let Shared { deliveries, topic, epoch, .. } = &*self.0;
        if deliveries.lost.borrow().is_some() {
            return done(Err(AppendError::Unavailable));
        }
        let partition = partition_of(draft.room, epoch.partitions);
        let Begun::Send(ticket) = deliveries.window.begin(partition, Key::of(draft), now_ms(), done) else {
            return;
        };
        let key = draft.room.to_string();
        let record = BaseRecord::with_opaque_to(topic, Box::new(ticket))
            .partition(partition.into())
            .key(&key)
            .payload(&draft.body[..])
            .timestamp(draft.sent_at_ms)
            .headers(codec::headers(draft));
        let producer = self.0.producer.read().clone();
        if let Err((error, record)) = producer.send(record) {
            tracing::warn!(%error, "Kafka's producer takes no more records");
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            let why = if is_full { AppendError::Busy } else { AppendError::Unavailable };
            deliveries.window.failed(&record.delivery_opaque, &why);
        }
    }

    pub(super) fn knows(&self, room: RoomId, key: Key) -> bool {
        let partition = partition_of(room, self.0.epoch.partitions);
        self.0.deliveries.window.knows(partition, key, now_ms())
    }

    pub(super) async fn stretch(
        &self,
        room: RoomId,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<Arc<Record>>, StretchError> {
        self.0.stretches.read(room, from, to).await
    }

    pub(super) async fn end(&self, partition: u16) -> Result<Seq, StretchError> {
        self.0.stretches.end(partition).await
    }

    /// Ends when nothing can be appended any more, and says why. A producer that can send no more is replaced.
    pub(crate) async fn broken(&self) -> String {
        let mut lost = self.0.deliveries.lost.subscribe();
        let mut every = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                // Both are cancel-safe: they take nothing.
                lost = lost.wait_for(Option::is_some) => {
                    return lost.ok().and_then(|lost| *lost).map_or_else(String::new, |lost| lost.to_string());
                }
                _ = every.tick() => {}
            }
            let fatal = self.0.producer.read().client().fatal_error();
            if let Some((code, reason)) = fatal {
                tracing::error!(%code, reason, "the Kafka producer can send no more, and is replaced");
                if let Err(error) = self.replace_producer() {
                    return format!("the Kafka producer cannot be replaced after {code}: {error}");
                }
            }
        }
    }

    /// A new producer goes on. What the old one had is given up; some of it may be in the log, or still come to be:
    /// that is what its senders are told, and a client-id makes one of two attempts.
    fn replace_producer(&self) -> Result<(), KafkaError> {
        let new = Arc::new(self.0.config.create_with_context(self.0.deliveries.clone())?);
        let old = std::mem::replace(&mut *self.0.producer.write(), new);
        // It waits for its threads.
        tokio::task::spawn_blocking(move || drop(old));
        Ok(())
    }

    /// Waits until every record has its outcome. Blocks.
    pub fn drain(&self) {
        let producer = self.0.producer.read().clone();
        if let Err(error) = producer.flush(Timeout::After(DRAIN)) {
            tracing::warn!(%error, "records were still on their way to Kafka");
        }
    }

    /// Tells everybody who still waits that nobody will know here. After the tail has ended.
    pub(crate) fn close(&self) {
        self.0.deliveries.window.close();
    }
}

async fn give_up(window: Weak<Window>) {
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let Some(window) = window.upgrade() else { return };
        window.give_up(Instant::now());
    }
}

#[cfg(test)]
mod tests;
