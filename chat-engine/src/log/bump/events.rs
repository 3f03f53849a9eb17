//! Joinings and leavings that are in `meetup.events` and that no node has written to the log yet. Where nobody is to
//! read that topic any more they go back to where they came from: the outbox.

use std::time::Instant;

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult},
};
use shared::{
    MeetupId,
    event::{Envelope, MeetupEvent},
    names::Topics,
};
use sqlx::{PgConnection, types::Json};

use super::PATIENCE;
use crate::log::{
    bump::BumpError,
    epoch::Epoch,
    kafka::places::{left, places, reader, watermarks},
};

/// Events that are rows of the outbox again, as soon as the transaction has committed.
pub(super) struct GivenBack {
    /// Of the group, without being its member.
    consumer: BaseConsumer,
    /// Behind them.
    done: TopicPartitionList,
}

/// Puts what the group has not committed back into the outbox, but for what is in the log of `epoch`.
pub(super) async fn give_back(
    brokers: &str,
    topics: &Topics,
    epoch: Epoch,
    transaction: &mut PgConnection,
) -> Result<GivenBack, BumpError> {
    let rest = tokio::task::spawn_blocking({
        let (brokers, topics) = (brokers.to_owned(), topics.clone());
        move || read_rest(&brokers, &topics)
    });
    let (given_back, events) = rest.await.unwrap_or(Err(KafkaError::Canceled))?;
    for (meetup, Envelope { id, event }) in events {
        sqlx::query(
            "insert into outbox (id, key, payload) overriding system value select $1, $2, $3 where not exists \
             (select from chat_messages where room_id = $4 and seq >= $5 and kind in (1, 2) and body like $6) \
             on conflict (id) do nothing",
        )
        .bind(id)
        .bind(event.key().to_string())
        .bind(Json(event))
        .bind(meetup.get())
        .bind(epoch.seq(0))
        .bind(format!("%\"client-id\":\"event-{id}\"%"))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(given_back)
}

impl GivenBack {
    /// They need not be read from the topic any more, should there be a cluster again.
    pub(super) async fn commit(self) -> KafkaResult<()> {
        if self.done.count() == 0 {
            return Ok(());
        }
        let commit = tokio::task::spawn_blocking(move || self.consumer.commit(&self.done, CommitMode::Sync));
        commit.await.unwrap_or(Err(KafkaError::Canceled))
    }
}

/// Joinings and leavings behind what the group has committed. Blocks.
fn read_rest(brokers: &str, topics: &Topics) -> KafkaResult<(GivenBack, Vec<(MeetupId, Envelope)>)> {
    let (consumer, topic) = (reader(brokers, topics, "history")?, topics.meetup_events());
    let mut done = TopicPartitionList::new();
    let mut events = Vec::new();
    for (partition, from, end) in unread(&consumer, &topic)? {
        consumer.assign(&places(&topic, &[(partition, from)])?)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = match consumer.poll(left(deadline)) {
                Some(Ok(message)) => message,
                Some(Err(error)) if Instant::now() >= deadline => return Err(error),
                Some(Err(_)) => continue,
                None => return Err(KafkaError::Canceled),
            };
            let envelope = message.payload().and_then(|json| serde_json::from_slice::<Envelope>(json).ok());
            if let Some(envelope) = envelope
                && let MeetupEvent::MemberJoined { meetup, .. } | MeetupEvent::MemberLeft { meetup, .. } =
                    envelope.event
            {
                events.push((meetup, envelope));
            }
            if message.offset() + 1 >= end {
                break;
            }
        }
        done.add_partition_offset(&topic, partition, Offset::Offset(end))?;
    }
    consumer.unassign()?;
    Ok((GivenBack { consumer, done }, events))
}

/// Partitions in which something is left, from where on, and up to where.
fn unread(consumer: &BaseConsumer, topic: &str) -> KafkaResult<Vec<(i32, i64, i64)>> {
    // Of all topics: asked for one that is not there, some brokers answer with its name and an error.
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(Vec::new());
    };
    let mut wanted = TopicPartitionList::new();
    for partition in found.partitions() {
        wanted.add_partition(topic, partition.id());
    }
    let committed = consumer.committed_offsets(wanted, PATIENCE)?;
    let mut unread = Vec::new();
    for element in committed.elements() {
        let (first, end) = watermarks(consumer, topic, element.partition(), Instant::now() + PATIENCE)?;
        let from = element.offset().to_raw().map_or(first, |committed| committed.max(first));
        if from < end {
            unread.push((element.partition(), from, end));
        }
    }
    Ok(unread)
}
