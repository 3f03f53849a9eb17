//! A node's own reading of the log and of `meetup.events`: all partitions, from its own place, in no group.
//!
//! It hands on the last ten minutes of the log, or what PostgreSQL does not have if that is less; what lies between
//! the two is read when somebody asks ([`Log::stretch`](crate::log::Log::stretch)). It begins earlier still, to know
//! what is a repeat. It runs on a thread of its own, because waiting for a shard must not hold up the runtime.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
};
use shared::{
    event::Envelope,
    names::{EVENT_PARTITIONS, Topics},
};
use tokio::sync::oneshot;

use super::{
    KafkaLog, codec,
    places::{is_gone, is_unknown, lead, offsets_at, places, reader, watermarks},
    topics::PATIENCE,
    window::Window,
};
use crate::{
    aside::{Aside, Gone},
    engine::Engine,
    events,
    log::{
        epoch::Epoch,
        repeats::{Key, WINDOW_MS},
    },
    record::{RecordKind, now_ms},
};

/// How often the thread looks whether it is to stop.
const POLL: Duration = Duration::from_millis(100);
/// How long brokers may say that they do not know the topic before it is looked up. They say so while leadership moves.
const UNKNOWN: Duration = Duration::from_secs(5);
/// How long the look may take: nothing is read meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// Between two lines about what librdkafka cannot mend, of which it tells again and again.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// A consumer in its place, before it is running.
pub(crate) struct Tail {
    /// Its drop hangs for ever where librdkafka has locked itself up.
    consumer: Aside<BaseConsumer>,
    chat_topic: String,
    epoch: Epoch,
    window: Arc<Window>,
    /// Where each partition of the log is handed on from.
    from: Vec<u64>,
    /// Where each partition that was not at its end when the node started is to get to.
    behind: HashMap<(Topic, i32), i64>,
    trouble: Trouble,
}

/// What brokers complain of.
#[derive(Debug, Default)]
struct Trouble {
    /// Since when they do not know the topic.
    unknown_since: Option<Instant>,
    told_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Topic {
    Chat,
    Events,
}

/// A running tail.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<anyhow::Error>,
    gone: Gone,
}

impl Tail {
    /// Takes its place. `stored` is how far PostgreSQL reaches in each partition of the log. Blocks.
    pub(crate) fn assign(
        brokers: &str,
        topics: &Topics,
        epoch: Epoch,
        log: &KafkaLog,
        stored: &[u64],
    ) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let consumer = reader(brokers, topics, "tail")?;
        let (chat_topic, event_topic) = (topics.chat_log(epoch.number), topics.meetup_events());
        let (mut ends, mut behind) = (Vec::new(), HashMap::new());
        for (partition, stored) in (0..).zip(stored) {
            let stored = stored.cast_signed();
            let (first, end) = watermarks(&consumer, &chat_topic, partition, deadline)?;
            if end < stored || stored < first {
                bail!(
                    "{chat_topic}/{partition} holds records {first} to {end}, but the history in PostgreSQL ends \
                     at {stored}: this is not the log it was written from, or part of it is lost. Run `moyiza log \
                     bump-epoch` to begin the next"
                );
            }
            ends.push((partition, end));
        }
        // Ten minutes before the end, or later if PostgreSQL has that: from there on records are handed on. And ten
        // more before that, to know which of them are repeats.
        let recent = lead(&consumer, &chat_topic, &ends, deadline)?;
        let from: Vec<_> = (0..)
            .zip(stored)
            .map(|(partition, stored)| {
                (partition, stored.cast_signed().max(recent.get(&partition).copied().unwrap_or(0)))
            })
            .collect();
        let begin: Vec<_> = lead(&consumer, &chat_topic, &from, deadline)?.into_iter().collect();
        let mut assignment = places(&chat_topic, &begin)?;
        let begin: HashMap<_, _> = begin.into_iter().collect();
        let window = log.0.deliveries.window.clone();
        for (number, (partition, end)) in (0..).zip(&ends) {
            let begin = begin.get(partition).copied().unwrap_or(0);
            window.begin_tail(number, begin.unsigned_abs());
            if begin < *end {
                behind.insert((Topic::Chat, *partition), *end);
            }
        }
        place_events(&consumer, &event_topic, deadline, &mut assignment, &mut behind)?;
        consumer.assign(&assignment)?;
        let from = from.into_iter().map(|(_, offset)| offset.unsigned_abs()).collect();
        let trouble = Trouble::default();
        let consumer = Aside::new(consumer);
        Ok(Self { consumer, chat_topic, epoch, window, from, behind, trouble })
    }

    /// Where each partition of the log is handed on from.
    pub(crate) fn from(&self) -> &[u64] {
        &self.from
    }

    /// Reads until it is stopped.
    pub(crate) fn start(mut self, engine: Arc<Engine>) -> Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let (end, ended) = oneshot::channel();
        let gone = self.consumer.gone();
        let run = move || {
            self.note_caught_up(&engine);
            while !stopping.load(Ordering::Relaxed) {
                if let Err(error) = self.step(&engine) {
                    // Nobody listens once the node is stopping.
                    let _ = end.send(error);
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("log-tail".into())
            .spawn(run)
            .context("cannot start a thread")?;
        Ok(Running { stop, thread, ended, gone })
    }

    /// Takes one message, if there is one soon.
    fn step(&mut self, engine: &Arc<Engine>) -> Result<()> {
        let message = match self.consumer.poll(POLL) {
            None => return self.look_for_topic(),
            Some(Ok(message)) => message,
            Some(Err(error)) if is_gone(&error) => {
                return Err(anyhow!(error).context(format!(
                    "{} no longer holds what this node has come to. If the topic was deleted and made anew, stop \
                     every node and run `moyiza log bump-epoch`",
                    self.chat_topic
                )));
            }
            Some(Err(error)) => {
                self.trouble.note(&error);
                return self.look_for_topic();
            }
        };
        let topic = if message.topic() == self.chat_topic { Topic::Chat } else { Topic::Events };
        let (place, offset) = ((topic, message.partition()), message.offset());
        match topic {
            Topic::Chat => self.take_record(engine, &message)?,
            Topic::Events => take_event(engine, &message),
        }
        drop(message);
        if self.behind.get(&place).is_some_and(|end| offset + 1 >= *end) {
            self.behind.remove(&place);
            self.note_caught_up(engine);
        }
        Ok(())
    }

    /// Fails if the log's topic was deleted: brokers have not known it for some time, and it is none of those they have.
    fn look_for_topic(&mut self) -> Result<()> {
        if self.trouble.unknown_since.is_none_or(|since| since.elapsed() < UNKNOWN) {
            return Ok(());
        }
        // Of all topics: asked for one that is not there, some brokers answer with its name and an error.
        let Ok(metadata) = self.consumer.fetch_metadata(None, LOOK) else {
            // Not again at once: records of other brokers are not to wait for this.
            self.trouble.unknown_since = Some(Instant::now());
            return Ok(());
        };
        if metadata.topics().iter().any(|topic| topic.name() == self.chat_topic) {
            self.trouble.unknown_since = None;
            return Ok(());
        }
        bail!(
            "{} is not there any more: it was deleted. Stop every node and run `moyiza log bump-epoch`",
            self.chat_topic
        )
    }

    fn note_caught_up(&self, engine: &Engine) {
        if self.behind.is_empty() {
            engine.caught_up.store(true, Ordering::Relaxed);
        }
    }

    fn take_record(&self, engine: &Engine, message: &BorrowedMessage<'_>) -> Result<()> {
        // Partitions are counted from 0, offsets too.
        let partition = u16::try_from(message.partition()).unwrap_or(u16::MAX);
        let offset = message.offset().unsigned_abs();
        let log_time = message.timestamp().to_millis().unwrap_or(0);
        let record = match codec::decode(self.epoch, message) {
            Ok(record) => Some(record),
            Err(poison) => {
                tracing::error!(%poison, "a message in the chat log is no record, and is left out");
                None
            }
        };
        let key = record.as_ref().and_then(|record| Key::of(&record.draft));
        let passed = self.window.pass(partition, key, offset, log_time)?;
        // A deletion from before that place, too: an edit that lost the race to it may stand behind it.
        if let Some(record) = record
            && passed.is_new
            && (offset >= self.from[usize::from(partition)] || record.draft.kind == RecordKind::Deleted)
        {
            engine.shards.record_blocking(Arc::new(record));
        }
        passed.answer();
        Ok(())
    }
}

impl Trouble {
    /// librdkafka goes on by itself.
    fn note(&mut self, error: &KafkaError) {
        if is_unknown(error) {
            self.unknown_since.get_or_insert_with(Instant::now);
        }
        if self.told_at.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            self.told_at = Some(Instant::now());
            tracing::warn!(%error, "reading the log");
        }
    }
}

/// Begins the events ten minutes ago. What this node knows of people it has loaded from PostgreSQL a moment ago, so
/// nothing between the two is missed; an event that is applied again changes nothing.
fn place_events(
    consumer: &BaseConsumer,
    topic: &str,
    deadline: Instant,
    assignment: &mut TopicPartitionList,
    behind: &mut HashMap<(Topic, i32), i64>,
) -> Result<()> {
    let times = (0..EVENT_PARTITIONS).map(|partition| (partition, now_ms() - WINDOW_MS)).collect();
    for (partition, found) in offsets_at(consumer, topic, &times, deadline)? {
        let (_, end) = watermarks(consumer, topic, partition, deadline)?;
        let begin = found.map_or(end, |found| found.min(end));
        if begin < end {
            behind.insert((Topic::Events, partition), end);
        }
        assignment.add_partition_offset(topic, partition, Offset::Offset(begin))?;
    }
    Ok(())
}

fn take_event(engine: &Arc<Engine>, message: &BorrowedMessage<'_>) {
    match message.payload().map(serde_json::from_slice::<Envelope>) {
        Some(Ok(envelope)) => events::learn(engine, &envelope.event),
        Some(Err(error)) => tracing::error!(%error, "a message is no event, and is left out"),
        None => {}
    }
}

impl Running {
    /// Ends the thread. Blocks for as long as it takes to hand over a record. What is returned waits until no connection
    /// is left.
    pub(crate) fn stop(self) -> Gone {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the log's reader panicked");
        }
        self.gone
    }

    /// Ends with the thread, which before it is stopped ends only when it cannot go on.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        (&mut self.ended).await.unwrap_or_else(|_| anyhow!("the log's reader panicked"))
    }
}
