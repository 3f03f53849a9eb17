//! The topics, made at the first start and checked at every other.

use std::time::{Duration, Instant};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};
use shared::names::{EVENT_PARTITIONS, Topics};

use super::client_config;
use crate::log::epoch::Epoch;

/// How long the brokers may take to answer at the start.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at what has no event.
pub(super) const POLL: Duration = Duration::from_millis(20);
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
pub async fn ensure(brokers: &str, topics: &Topics, epoch: Epoch) -> Result<(), TopicError> {
    let kafka = |source| TopicError::Kafka { brokers: brokers.to_owned(), source };
    let (chat, events) = (topics.chat_log(epoch.number), topics.meetup_events());
    let admin: AdminClient<DefaultClientContext> = client_config(brokers).create().map_err(kafka)?;
    let new = |name, partitions| {
        // -1: as many copies as the brokers' own default says (KIP-464).
        NewTopic::new(name, partitions, TopicReplication::Fixed(-1))
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
            partitions_with_leaders(&admin, &events)?;
            partitions_with_leaders(&admin, &chat)
        }
    });
    let found = found.await.unwrap_or(Err(KafkaError::Canceled)).map_err(kafka)?;
    if found == usize::from(epoch.partitions) {
        Ok(())
    } else {
        Err(TopicError::Partitions { topic: chat, found, wanted: epoch.partitions })
    }
}

/// The partitions of a topic, once all of them have a leader. A broker answers that a topic was made a moment
/// before every broker knows of it.
fn partitions_with_leaders(admin: &AdminClient<DefaultClientContext>, topic: &str) -> KafkaResult<usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        if !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0) {
            return Ok(partitions.len());
        }
        if Instant::now() >= deadline {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable));
        }
        std::thread::park_timeout(POLL);
    }
}
