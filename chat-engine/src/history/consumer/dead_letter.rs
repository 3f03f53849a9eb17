//! Messages that cannot be rows, kept as they were in a topic of their own, for people to look at.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message,
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
    util::Timeout,
};
use shared::names::Topics;

use crate::{
    log::kafka::{client_config, codec},
    record::Record,
};

/// Between two attempts.
const RETRY: Duration = Duration::from_secs(1);
/// What is kept of a key or value that is too long to be a letter, in bytes: it fits whatever brokers allow.
const CUT: usize = 65_536;

/// Writes to the dead-letter topic.
#[derive(Clone)]
pub(crate) struct DeadLetters {
    producer: FutureProducer,
    topic: Arc<str>,
}

/// Where a message was, and why it is here.
pub(super) struct Label<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) reason: &'a str,
}

impl DeadLetters {
    pub(crate) fn new(brokers: &str, topics: &Topics) -> KafkaResult<Self> {
        let producer =
            client_config(brokers).set("acks", "all").set("message.timeout.ms", "5000").create()?;
        Ok(Self { producer, topic: topics.dead_letter().into() })
    }

    /// Keeps a message that is no record.
    pub(super) async fn keep(&self, message: &OwnedMessage, reason: &str) {
        let label = Label {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            reason,
        };
        let headers = message.headers().cloned().unwrap_or_default();
        self.send(message.key(), message.payload(), headers, &label).await;
    }

    /// Keeps a record that the database refuses: as the message that it was.
    pub(super) async fn keep_record(&self, record: &Record, label: &Label<'_>) {
        let key = record.draft.room.to_string();
        let headers = codec::headers(&record.draft);
        self.send(Some(key.as_bytes()), Some(&record.draft.body), headers, label).await;
    }

    /// Ends when the letter is durable: until then nothing goes on.
    async fn send(
        &self,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: OwnedHeaders,
        label: &Label<'_>,
    ) {
        let Label { topic, partition, offset, reason } = label;
        tracing::error!(topic, partition, offset, reason, "a message cannot be history: to the dead letters");
        let (partition, offset) = (partition.to_string(), offset.to_string());
        let why = [
            ("dead-letter-topic", *topic),
            ("dead-letter-partition", &partition),
            ("dead-letter-offset", &offset),
            ("dead-letter-reason", *reason),
        ];
        let headers = why
            .iter()
            .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let (mut key, mut payload, mut headers) = (key, payload, headers);
        loop {
            let mut record: FutureRecord<'_, [u8], [u8]> =
                FutureRecord::to(&self.topic).headers(headers.clone());
            record.key = key;
            record.payload = payload;
            match self.producer.send(record, Timeout::After(RETRY)).await {
                Ok(_) => return,
                // With its label it is larger than what it came as. Its beginning is better than a standstill.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _))
                    if payload.is_some_and(|payload| payload.len() > CUT)
                        || key.is_some_and(|key| key.len() > CUT) =>
                {
                    let length = payload.map_or(0, <[u8]>::len).to_string();
                    let beginning = |bytes: &'_ [u8]| bytes.len().min(CUT);
                    key = key.map(|key| &key[..beginning(key)]);
                    payload = payload.map(|payload| &payload[..beginning(payload)]);
                    headers = headers.insert(Header { key: "dead-letter-bytes", value: Some(&length) });
                }
                Err((error, _)) => {
                    tracing::warn!(%error, "the dead-letter topic takes nothing, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}
