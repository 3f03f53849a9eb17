//! The topics, made at the first start and checked at every other.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use shared::names::{EVENT_PARTITIONS, Topics};

use super::client_config;
use crate::log::epoch::Epoch;

/// How long the brokers may take to answer at the start.
const PATIENCE: Duration = Duration::from_secs(15);
/// Seven days: the time a node, or the history in PostgreSQL, may be behind.
const RETENTION_MS: &str = "604800000";

/// Why the topics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The brokers do not answer, or refuse.
    #[error("cannot use Kafka at {brokers} (MOYIZA_KAFKA_BROKERS): {source}")]
    Kafka {
        /// Where they should be.
        brokers: String,
        /// What the client said.
        source: KafkaError,
    },
    /// Somebody changed the topic.
    #[error("the topic {topic} has {found} partitions instead of {wanted}: rooms would change partition")]
    Partitions {
        /// Which.
        topic: String,
        /// As it is.
        found: usize,
        /// As it was made.
        wanted: u16,
    },
}

/// Makes the topics that are not there, and checks those that are.
pub async fn ensure(brokers: &str, topics: &Topics, epoch: Epoch, copies: u16) -> Result<(), TopicError> {
    let kafka = |source| TopicError::Kafka { brokers: brokers.to_owned(), source };
    let (chat, events) = (topics.chat_log(epoch.number), topics.meetup_events());
    let admin: AdminClient<DefaultClientContext> = client_config(brokers).create().map_err(kafka)?;
    let new = |name, partitions| {
        NewTopic::new(name, partitions, TopicReplication::Fixed(copies.into()))
            .set("cleanup.policy", "delete")
            .set("retention.ms", RETENTION_MS)
    };
    let wanted = [new(&chat, epoch.partitions.into()), new(&events, EVENT_PARTITIONS)];
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    for result in admin.create_topics(&wanted, &options).await.map_err(kafka)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(kafka(KafkaError::AdminOp(code))),
        }
    }
    let found = tokio::task::spawn_blocking({
        let chat = chat.clone();
        move || {
            let metadata = admin.inner().fetch_metadata(Some(&chat), PATIENCE)?;
            Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()))
        }
    });
    let found = found.await.unwrap_or(Err(KafkaError::Canceled)).map_err(kafka)?;
    if found == usize::from(epoch.partitions) {
        Ok(())
    } else {
        Err(TopicError::Partitions { topic: chat, found, wanted: epoch.partitions })
    }
}
