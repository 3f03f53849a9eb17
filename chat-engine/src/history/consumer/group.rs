//! The node's membership in the consumer group, and what it asks Kafka.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer},
    error::{KafkaError, KafkaResult},
    message::OwnedMessage,
    topic_partition_list::TopicPartitionListElem,
};
use shared::names::Topics;
use tokio::sync::Notify;

use crate::{
    aside::{Aside, Gone},
    log::kafka::{
        client_config,
        places::{lead, reader},
    },
};

/// How long the brokers are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Partitions come and go. librdkafka says so from within `recv`, which goes on waiting for a message then.
#[derive(Debug, Default)]
pub(super) struct Moves {
    list: Mutex<Vec<Move>>,
    are_there: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// This node reads the partition from now on.
    Assigned(Source),
    /// It does not any more.
    Lost(Source),
}

/// What the group reads: partitions of two topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    ChatLog(i32),
    Events(i32),
}

#[derive(Debug)]
pub(super) struct Context {
    chat_topic: Arc<str>,
    moves: Arc<Moves>,
}

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            self.note(partitions, Move::Lost);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.note(partitions, Move::Assigned);
        }
    }
}

impl Context {
    fn note(&self, partitions: &TopicPartitionList, what: impl Fn(Source) -> Move) {
        let elements = partitions.elements();
        let source = |element: &TopicPartitionListElem<'_>| {
            let of_chat = element.topic() == &*self.chat_topic;
            if of_chat { Source::ChatLog(element.partition()) } else { Source::Events(element.partition()) }
        };
        self.moves.list.lock().extend(elements.iter().map(|element| what(source(element))));
        self.moves.are_there.notify_one();
    }
}

/// A member of the group.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) consumer: Arc<Aside<StreamConsumer<Context>>>,
    pub(super) chat_topic: Arc<str>,
    moves: Arc<Moves>,
    brokers: Arc<str>,
    topics: Topics,
}

impl Group {
    pub(super) fn join(brokers: &str, topics: &Topics, epoch: u16) -> KafkaResult<Self> {
        let chat_topic: Arc<str> = topics.chat_log(epoch).into();
        let moves = Arc::<Moves>::default();
        let context = Context { chat_topic: chat_topic.clone(), moves: moves.clone() };
        let consumer: StreamConsumer<Context> = client_config(brokers)
            .set("group.id", topics.group("history"))
            .set("enable.auto.commit", "false")
            // Of the chat log: where PostgreSQL does not say otherwise.
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            // The shortest that brokers allow: a dead node's partitions wait no longer.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500")
            // A node that PostgreSQL does not answer for so long leaves its partitions to others. It comes back as
            // soon as it reads again.
            .set("max.poll.interval.ms", "180000")
            // What is fetched ahead while nothing can be written.
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.message.max.bytes", "1048576")
            // A seek waits for the fetch that is under way.
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .create_with_context(context)?;
        consumer.subscribe(&[&chat_topic, &topics.meetup_events()])?;
        Ok(Self {
            consumer: Arc::new(Aside::new(consumer)),
            chat_topic,
            moves,
            brokers: brokers.into(),
            topics: topics.clone(),
        })
    }

    /// Knows when the group is left, which happens when the last of those who have this drops it.
    pub(super) fn left(&self) -> Gone {
        self.consumer.gone()
    }

    /// What has come and gone since this was asked last, in order.
    pub(super) fn moves(&self) -> Vec<Move> {
        std::mem::take(&mut *self.moves.list.lock())
    }

    /// Waits until there may be some. Cancel-safe.
    pub(super) async fn moved(&self) {
        self.moves.are_there.notified().await;
    }

    /// The first and the next offset of a partition of the chat log.
    pub(super) async fn watermarks(&self, partition: i32) -> KafkaResult<(u64, u64)> {
        let marks =
            self.ask(move |group| group.consumer.fetch_watermarks(&group.chat_topic, partition, PATIENCE));
        let (low, end) = marks.await?;
        Ok((low.unsigned_abs(), end.unsigned_abs()))
    }

    /// Where to begin in a partition, to know from `offset` on what is a repeat.
    pub(super) async fn lead(&self, partition: i32, offset: u64) -> KafkaResult<u64> {
        let begin = self.ask(move |group| {
            let reader = reader(&group.brokers, &group.topics, "history-places")?;
            let offsets = [(partition, offset.cast_signed())];
            lead(&reader, &group.chat_topic, &offsets, Instant::now() + PATIENCE)
        });
        Ok(begin.await?.get(&partition).map_or(offset, |offset| offset.unsigned_abs()))
    }

    /// Reads on from `offset`: nothing that was fetched before is received after this.
    pub(super) async fn seek(&self, partition: i32, offset: u64) -> KafkaResult<()> {
        let offset = Offset::Offset(offset.cast_signed());
        self.ask(move |group| group.consumer.seek(&group.chat_topic, partition, offset, PATIENCE)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self) -> KafkaResult<T> + Send + 'static,
    ) -> KafkaResult<T> {
        let group = self.clone();
        tokio::task::spawn_blocking(move || question(&group)).await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Whether the group has given this node's partitions to others without asking: it did not answer for too long.
    pub(super) fn is_expelled(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Receives no more of a partition of `meetup.events`, or again. What was fetched and not received comes again.
    pub(super) fn pause_events(&self, partition: i32, pause: bool) {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&self.topics.meetup_events(), partition);
        let done = if pause { self.consumer.pause(&partitions) } else { self.consumer.resume(&partitions) };
        // The partition is another node's by now.
        if let Err(error) = done {
            tracing::debug!(%error, partition, pause, "a partition of the events is not there");
        }
    }

    /// These messages need not come again.
    pub(super) fn commit(&self, message: &OwnedMessage) {
        let mut done = TopicPartitionList::new();
        // Never fails for a positive offset.
        let _ = done.add_partition_offset(
            message.topic(),
            message.partition(),
            Offset::Offset(message.offset() + 1),
        );
        match self.consumer.commit(&done, CommitMode::Async) {
            // Nothing to commit, or the partitions are another node's by now: it reads from the last commit.
            Ok(()) | Err(KafkaError::ConsumerCommit(_)) => {}
            Err(error) => tracing::warn!(%error, "offsets not committed"),
        }
    }
}
