//! The topics, made at the first start and checked at every other.

use std::time::{Duration, Instant};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
    },
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
/// The brokers stamp the time on each record: what is a repeat is decided by it, and a node's clock may be wrong.
const LOG_TIME: (&str, &str) = ("message.timestamp.type", "LogAppendTime");
/// No record is so small: none can be appended to a topic with this setting. What marks its end is smaller.
pub(crate) const FENCE: (&str, &str) = ("max.message.bytes", "100");

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
    /// Its epoch is being ended.
    #[error(
        "the topic {topic} takes no more records: its epoch is being ended. Run `moyiza log bump-epoch` (again) to \
         begin the next"
    )]
    Fenced {
        /// Which.
        topic: String,
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
            .set(LOG_TIME.0, LOG_TIME.1)
    };
    // Few messages, and for people to look at: kept for longer than anybody is away.
    let dead_letters = topics.dead_letter();
    let dead_letters = new(&dead_letters, 1).set("retention.ms", "-1");
    let wanted = [new(&chat, epoch.partitions.into()), new(&events, EVENT_PARTITIONS), dead_letters];
    for result in admin.create_topics(&wanted, &options()).await.map_err(kafka)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(kafka(KafkaError::AdminOp(code))),
        }
    }
    let found = tokio::task::spawn_blocking({
        let (chat, events) = (chat.clone(), events.clone());
        move || {
            partitions_with_leaders(&admin, &events)?;
            let found = partitions_with_leaders(&admin, &chat)?;
            Ok((admin, found))
        }
    });
    let (admin, found) = found.await.unwrap_or(Err(KafkaError::Canceled)).map_err(kafka)?;
    if !stamp_time(&admin, &chat).await.map_err(kafka)? {
        return Err(TopicError::Fenced { topic: chat });
    }
    if found == usize::from(epoch.partitions) {
        Ok(())
    } else {
        Err(TopicError::Partitions { topic: chat, found, wanted: epoch.partitions })
    }
}

/// Lets the brokers stamp their time on a topic that an earlier version made. `false` if the topic has been closed.
async fn stamp_time(admin: &AdminClient<DefaultClientContext>, topic: &str) -> KafkaResult<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut asked = false;
    loop {
        let set = settings_of(admin, topic).await?;
        let is_set = |setting| set.iter().any(|(name, value)| (&**name, &**value) == setting);
        if is_set(FENCE) {
            return Ok(false);
        }
        if is_set(LOG_TIME) {
            return Ok(true);
        }
        if !asked {
            change(admin, topic, LOG_TIME).await?;
            asked = true;
        } else if Instant::now() >= deadline {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        } else {
            // Brokers do not tell when they have taken up a setting.
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Lets nothing more be appended to a topic, whoever tries. The brokers learn of it within a moment.
pub(crate) async fn fence(brokers: &str, topic: &str) -> KafkaResult<()> {
    change(&client_config(brokers).create()?, topic, FENCE).await
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

/// What was set for this topic, not what it has from its brokers.
async fn settings_of(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> KafkaResult<Vec<(String, String)>> {
    let mut described = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()).await?;
    let resource = described.pop().unwrap_or(Err(RDKafkaErrorCode::UnknownTopicOrPartition));
    let entries = resource.map_err(KafkaError::AdminOp)?.entries;
    let set = entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    Ok(set.filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

/// Sets one thing of a topic and leaves the others as they are.
async fn change(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
    (name, value): (&str, &str),
) -> KafkaResult<()> {
    let set = settings_of(admin, topic).await?;
    // The request replaces all that is set.
    let others = set.iter().filter(|(other, _)| other != name);
    let all = others
        .fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |all, (name, value)| all.set(name, value))
        .set(name, value);
    let mut altered = admin.alter_configs(&[all], &options()).await?;
    let outcome = altered.pop().unwrap_or(Err((
        rdkafka::admin::OwnedResourceSpecifier::Topic(topic.to_owned()),
        RDKafkaErrorCode::UnknownTopicOrPartition,
    )));
    outcome.map(drop).map_err(|(_, code)| KafkaError::AdminOp(code))
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
