//! Ending one epoch of Kafka's log and beginning the next: for more partitions, because the topic was lost, or to have
//! the log in PostgreSQL alone.
//!
//! Three things must hold, whatever else happens: what was acknowledged in the old topic is in PostgreSQL before
//! anybody writes to the new one; nothing is acknowledged in the old one after that, not even to a node that was
//! asleep through all of it; and two nodes never use two epochs. So the old topic is first *fenced* by a setting that
//! makes its brokers refuse every record, then written to PostgreSQL up to its end, and then the next epoch is taken,
//! all under the lock that a node takes when it starts.

mod drain;
mod events;
mod fence;

pub(crate) use fence::is_probe;

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use shared::names::{Topics, locks};
use sqlx::PgPool;

use super::{
    epoch::{self, Backend, Epoch},
    kafka::{
        self, TopicError,
        places::{members, reader, watermarks},
    },
};
use crate::{
    history::{journal::Journal, metrics::Metrics},
    reading::{
        Reading,
        redis::{self, RedisReading},
    },
    shard::Shards,
};

/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Topics that are looked at to find one that holds nothing.
const TRIES: u16 = 100;

/// What is to be done, and where.
#[derive(Clone, Debug)]
pub struct Bump {
    /// Kafka's brokers.
    pub brokers: String,
    /// Where Redis is: it is told of what was not written yet.
    pub redis_url: String,
    /// What the names begin with.
    pub prefix: String,
    /// What comes after it.
    pub next: Next,
    /// Go on although records are lost.
    pub lost: bool,
}

/// Who keeps the log of the next epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Kafka again, in so many partitions; as many as now if `None`.
    Kafka(Option<u16>),
    /// A single process, in PostgreSQL.
    Embedded,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Bumped {
    /// The epoch that has ended.
    pub from: Epoch,
    /// The one that begins.
    pub to: Epoch,
    /// Records of the old one that were written to PostgreSQL now.
    pub written: u64,
    /// Messages in it that PostgreSQL does not take, or that are no records: in the dead-letter topic from now on.
    pub dead_letters: u64,
}

/// Why the epoch goes on.
#[derive(Debug, thiserror::Error)]
pub enum BumpError {
    /// The log is not Kafka's.
    #[error(
        "there is no cluster's log: this installation keeps its log in PostgreSQL, and there is nothing to end"
    )]
    NoLog,
    /// Nodes would go on in the old one.
    #[error("{0} engine nodes are running (members of the consumer group \"{1}\"): stop them first")]
    Running(usize, String),
    /// Records are gone.
    #[error(
        "{0}. Records that were not in PostgreSQL yet are lost. If nothing can be done about that, go on with --lost"
    )]
    Lost(String),
    /// Somebody else can still append.
    #[error("the brokers go on taking records for {0}, although it has been closed: try again")]
    NotFenced(String),
    /// It is not certain what belongs to the log.
    #[error(
        "the end of {0} is not in as many copies as it has to be ({1}): try again when the brokers are in sync"
    )]
    NotInSync(String, KafkaError),
    /// The topics are not as they should be.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The brokers do not answer, or refuse.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer.
    #[error("PostgreSQL: {0}")]
    Sql(#[from] sqlx::Error),
    /// Redis does not answer.
    #[error("Redis: {0}")]
    Redis(String),
}

/// A partition of the old topic, and what is to be done with it.
#[derive(Clone, Copy, Debug)]
struct OldPartition {
    number: u16,
    /// Rows of lower offsets are in PostgreSQL.
    stored: u64,
    /// The reading state has been told of lower offsets.
    told: u64,
    /// The first record that there is.
    first: u64,
    /// Where it ends; known once it is closed.
    end: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It goes on where PostgreSQL ends.
    Whole,
    /// It begins after that: some records have been deleted.
    Late,
    /// It is another one of the same name, or has lost its end: nothing in it counts.
    Other,
}

/// Ends the epoch in use and begins the next.
pub async fn bump(pool: &PgPool, order: &Bump) -> Result<Bumped, BumpError> {
    let topics = Topics::new(&*order.prefix);
    // Held until the end: a node that starts meanwhile waits, and finds the next epoch.
    let mut transaction = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(locks::LOG_EPOCH).execute(&mut *transaction).await?;
    let newest = epoch::newest(&mut *transaction).await?;
    let (from, _) = newest.filter(|(_, backend)| *backend == Backend::Kafka).ok_or(BumpError::NoLog)?;
    let progress: Vec<(i64, i64)> = sqlx::query_as(
        "select next_offset, told_offset from log_progress where epoch = $1 order by partition",
    )
    .bind(from.number.cast_signed())
    .fetch_all(&mut *transaction)
    .await?;
    let old = tokio::task::spawn_blocking({
        let (brokers, topics) = (order.brokers.clone(), topics.clone());
        move || look_at(&reader(&brokers, &topics, "bump")?, &topics, from, &progress)
    });
    let old = old.await.unwrap_or(Err(KafkaError::Canceled.into()))?;
    if let Some(lost) = what_is_lost(&topics, from, old.as_deref())
        && !order.lost
    {
        return Err(BumpError::Lost(lost));
    }
    let metrics = Arc::<Metrics>::default();
    if let Some(mut old) = old {
        fence::raise(&order.brokers, &topics.chat_log(from.number), &mut old).await?;
        let drain = drain::Drain::new(&order.brokers, &topics, from, pool, metrics.clone())?;
        match order.next {
            Next::Kafka(_) => drain_and_tell(order, &drain, from, &old).await?,
            Next::Embedded => drain.run_all(&old, None).await?,
        }
    }
    let to = match order.next {
        Next::Kafka(partitions) => {
            let to = begin_next(order, &topics, from, partitions.unwrap_or(from.partitions)).await?;
            epoch::insert(&mut transaction, to, Backend::Kafka).await?;
            transaction.commit().await?;
            to
        }
        Next::Embedded => {
            // It is not told of what comes now: whoever goes back to a cluster loads it anew.
            let forgotten = redis::forget_rooms(&order.redis_url, &order.prefix, pool).await;
            forgotten.map_err(|error| BumpError::Redis(error.to_string()))?;
            let to = next_without_topic(order, &topics, from).await?;
            epoch::insert(&mut transaction, to, Backend::Embedded).await?;
            let events = events::give_back(&order.brokers, &topics, from, &mut transaction).await?;
            transaction.commit().await?;
            events.commit().await?;
            to
        }
    };
    let [written, dead_letters] =
        [&metrics.rows, &metrics.dead_letters].map(|counter| counter.load(Ordering::Relaxed));
    Ok(Bumped { from, to, written, dead_letters })
}

/// The nodes of the next epoch go on with the reading state as it is.
async fn drain_and_tell(
    order: &Bump,
    drain: &drain::Drain<'_>,
    epoch: Epoch,
    old: &[OldPartition],
) -> Result<(), BumpError> {
    let pool = drain.pool().clone();
    let (journal, journal_task) = Journal::start(pool.clone());
    let (shards, _nobody) = Shards::new(1, Arc::default());
    // No room is open here that could be asked.
    let check = Duration::from_mins(1);
    let (url, prefix) = (&order.redis_url, &order.prefix);
    let connected = RedisReading::connect(url, prefix, pool, epoch, journal, shards, check);
    let (redis, redis_task) = connected.await.map_err(|error| BumpError::Redis(error.to_string()))?;
    let reading = Reading::Redis(redis);
    drain.run_all(old, Some(&reading)).await?;
    drop(reading);
    let _ = tokio::join!(redis_task, journal_task);
    Ok(())
}

/// The partitions of the old topic; `None` if there is no such topic, or not with these. Blocks.
fn look_at(
    consumer: &BaseConsumer,
    topics: &Topics,
    epoch: Epoch,
    progress: &[(i64, i64)],
) -> Result<Option<Vec<OldPartition>>, BumpError> {
    let (group, topic) = (topics.group("history"), topics.chat_log(epoch.number));
    let members = members(consumer, &group, Instant::now() + PATIENCE)?;
    if members > 0 {
        return Err(BumpError::Running(members, group));
    }
    // Of all topics: asked for one that is not there, some brokers answer with its name and an error.
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    if found.is_none_or(|found| found.partitions().len() != progress.len()) {
        return Ok(None);
    }
    let mut old = Vec::new();
    for (number, (stored, told)) in (0..).zip(progress) {
        let (first, end) = watermarks(consumer, &topic, i32::from(number), Instant::now() + PATIENCE)?;
        let state = match () {
            () if end < *stored => State::Other,
            () if *stored < first => State::Late,
            () => State::Whole,
        };
        let (stored, told, first) = (stored.unsigned_abs(), told.unsigned_abs(), first.unsigned_abs());
        old.push(OldPartition { number, stored, told, first, end: first, state });
    }
    Ok(Some(old))
}

fn what_is_lost(topics: &Topics, epoch: Epoch, old: Option<&[OldPartition]>) -> Option<String> {
    let topic = topics.chat_log(epoch.number);
    let Some(old) = old else {
        return Some(format!("the topic {topic} is not there, or not with {} partitions", epoch.partitions));
    };
    let broken = old.iter().find(|partition| partition.state != State::Whole)?;
    let OldPartition { number, stored, first, state, .. } = broken;
    Some(match state {
        State::Late => {
            format!("{topic}/{number} begins at {first}, but the history in PostgreSQL ends at {stored}")
        }
        _ => format!(
            "{topic}/{number} ends before {stored}, where the history in PostgreSQL ends: it was deleted and made \
             anew, or has lost records"
        ),
    })
}

/// Makes the topic of the next epoch. One that is there and holds records is passed over: the database may have been
/// restored from a time before it.
async fn begin_next(order: &Bump, topics: &Topics, from: Epoch, partitions: u16) -> Result<Epoch, BumpError> {
    let mut number = from.number;
    loop {
        number += 1;
        let to = Epoch { number, partitions };
        match kafka::ensure(&order.brokers, topics, to).await {
            Ok(()) => {}
            Err(TopicError::Partitions { .. } | TopicError::Fenced { .. })
                if number < from.number + TRIES =>
            {
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let is_empty = tokio::task::spawn_blocking({
            let (brokers, topics) = (order.brokers.clone(), topics.clone());
            move || is_empty(&brokers, &topics, to)
        });
        if is_empty.await.unwrap_or(Err(KafkaError::Canceled))? {
            return Ok(to);
        }
    }
}

/// The next epoch of which there is no topic either, for the same reason.
async fn next_without_topic(order: &Bump, topics: &Topics, from: Epoch) -> Result<Epoch, KafkaError> {
    let names = tokio::task::spawn_blocking({
        let (brokers, topics) = (order.brokers.clone(), topics.clone());
        move || {
            let metadata = reader(&brokers, &topics, "bump")?.fetch_metadata(None, PATIENCE)?;
            Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect::<HashSet<_>>())
        }
    });
    let names = names.await.unwrap_or(Err(KafkaError::Canceled))?;
    let mut number = from.number + 1;
    while names.contains(&topics.chat_log(number)) {
        number += 1;
    }
    Ok(Epoch { number, partitions: 1 })
}

fn is_empty(brokers: &str, topics: &Topics, epoch: Epoch) -> Result<bool, KafkaError> {
    let (consumer, topic) = (reader(brokers, topics, "bump")?, topics.chat_log(epoch.number));
    for partition in 0..i32::from(epoch.partitions) {
        if watermarks(&consumer, &topic, partition, Instant::now() + PATIENCE)?.1 > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
