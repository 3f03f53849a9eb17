//! The consumer group that turns the log into rows: each partition is read by one node, in batches, each batch one
//! transaction that also moves the partition's stored offset, from where this node believes it to be. PostgreSQL
//! alone says what is a row: whoever gets a partition asks it, and begins ten minutes before, to know what repeats
//! what; the group's own offsets are used for `meetup.events` alone, whose joinings and leavings the same group
//! writes to the log.
//!
//! What is away makes it wait or go on without, in bounded memory. Without PostgreSQL it receives no more when a
//! batch of some partition is full. Without Redis rows go on; what Redis has missed is read again when it is back.

mod batches;
pub(crate) mod dead_letter;
mod errands;
mod group;
mod lag;
mod meetups;
mod partition;
mod placing;
mod receiving;
mod stored;
mod teller;
pub(crate) mod writer;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt as _;
use rdkafka::error::KafkaResult;
use shared::{config::EngineSettings, names::Topics};
use sqlx::PgPool;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};

use self::{
    dead_letter::DeadLetters,
    errands::Errands,
    group::{Group, Move, Source},
    meetups::Meetups,
    partition::{Batch, Partition},
    placing::{Answer, LEADS},
    teller::{News, Teller},
    writer::{Outcome, Work, Writer},
};
use super::metrics::Metrics;
use crate::{engine::Engine, log::epoch::Epoch, reading::Reading};

/// Bodies of one batch, in bytes.
const BATCH_BYTES: usize = 16 << 20;
/// Full batches that may be gathered, over all partitions.
const GATHERED: usize = 4;
/// Messages that are taken at a time, before anything else is looked at.
const AT_A_TIME: usize = 256;
/// How long a node that stops may take to write what it has appended last. Another one, or its next start, does it
/// otherwise.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long leaving the group may take. Who does not leave it is missed by the brokers some seconds later.
const LEAVING: Duration = Duration::from_secs(3);
/// Full batches that the reading state may not have been told of yet.
const UNTOLD: usize = 4;

/// A member of the group, before it reads.
pub(crate) struct HistoryConsumer {
    group: Group,
    dead_letters: DeadLetters,
    pool: PgPool,
    epoch: Epoch,
    reading: Reading,
    /// Records of one batch.
    batch: usize,
    /// How long a batch gathers.
    gather: Duration,
}

/// A member that reads.
struct Consumer {
    group: Group,
    pool: PgPool,
    epoch: Epoch,
    batch: usize,
    gather: Duration,
    engine: Arc<Engine>,
    writer: Writer,
    teller: Teller,
    meetups: Meetups,
    partitions: BTreeMap<i32, Partition>,
    /// Partitions of this node whose place is not known, and when to look for it.
    unplaced: BTreeMap<i32, Instant>,
    errands: Errands<Answer>,
    leads: Arc<Semaphore>,
    /// How far the reading state has been told of partitions that were placed here.
    told: HashMap<i32, u64>,
    stays: u64,
    writes: JoinSet<(i32, u64, Work, Outcome)>,
    /// Whether this is the end: then nothing is gathered any more.
    stop: watch::Receiver<bool>,
}

impl HistoryConsumer {
    /// Joins the group.
    pub(crate) fn join(
        brokers: &str,
        topics: &Topics,
        settings: &EngineSettings,
        pool: PgPool,
        epoch: Epoch,
        reading: Reading,
    ) -> KafkaResult<Self> {
        Ok(Self {
            group: Group::join(brokers, topics, epoch.number)?,
            dead_letters: DeadLetters::new(brokers, topics)?,
            pool,
            epoch,
            reading,
            batch: usize::try_from(settings.history_batch).unwrap_or(usize::MAX),
            gather: Duration::from_millis(settings.history_batch_ms.into()),
        })
    }

    /// Consumes until `stop` changes, and then up to where its partitions end by that time: nobody appends here any
    /// more.
    pub(crate) async fn run(self, engine: Arc<Engine>, stop: watch::Receiver<bool>) {
        let left = self.group.left();
        self.consume(engine, stop).await;
        if tokio::time::timeout(LEAVING, left.wait()).await.is_err() {
            tracing::warn!(
                "this node's partitions wait until Kafka misses it: its client does not leave the group"
            );
        }
    }

    async fn consume(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        let (group, metrics) = (self.group.clone(), engine.counters.history.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(lag::measure(self.group.clone(), engine.clone()));
        let consumer = Consumer {
            writer: Writer {
                pool: self.pool.clone(),
                dead_letters: self.dead_letters,
                chat_topic: self.group.chat_topic.clone(),
                metrics: engine.counters.history.clone(),
            },
            meetups: Meetups::new(self.group.clone(), engine.clone(), self.pool.clone(), self.epoch),
            group: self.group,
            pool: self.pool,
            epoch: self.epoch,
            batch: self.batch,
            gather: self.gather,
            engine,
            teller: Teller::start(self.reading),
            partitions: BTreeMap::new(),
            unplaced: BTreeMap::new(),
            errands: Errands::new(),
            leads: Arc::new(Semaphore::new(LEADS)),
            told: HashMap::new(),
            stays: 0,
            writes: JoinSet::new(),
            stop: stop.clone(),
        };
        let finished = async {
            let _ = stop.wait_for(|stop| *stop).await;
            tokio::time::timeout(LAST_WORDS, written_up_to_now(&group, &metrics)).await
        };
        tokio::select! {
            // Cancel-safe: what is not written is read again by whoever comes next.
            () = consumer.run() => {}
            finished = finished => if finished.is_err() {
                tracing::warn!("the last records of this node are not history yet: another node writes them");
            }
        }
    }
}

/// Waits until the records that this node's partitions have now are rows.
async fn written_up_to_now(group: &Group, metrics: &Metrics) {
    let mut ends = Vec::new();
    for (partition, _) in metrics.lags() {
        match group.watermarks(partition).await {
            Ok((_, end)) => ends.push((partition, end)),
            Err(error) => tracing::debug!(%error, partition, "its end is not known"),
        }
    }
    metrics.reach(&ends).await;
}

impl Consumer {
    async fn run(mut self) {
        let group = self.group.clone();
        loop {
            let due = self.due();
            let is_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Every arm is cancel-safe: none takes anything before it is ready, and the timer is made anew.
                message = group.consumer.recv(), if self.has_room() => {
                    self.take(message);
                    for _ in 1..AT_A_TIME {
                        if !self.has_room() {
                            break;
                        }
                        let Some(message) = group.consumer.recv().now_or_never() else { break };
                        self.take(message);
                    }
                }
                Some(written) = self.writes.join_next() => {
                    match written {
                        Ok((partition, stay, work, outcome)) => self.written(partition, stay, work, outcome),
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        // The partition was lost meanwhile.
                        Err(_) => {}
                    }
                }
                Some(news) = self.teller.news() => {
                    if let News::Told(told) = news {
                        self.hear(&told);
                    }
                }
                Some((partition, answer)) = self.errands.next() => self.learn(partition, answer),
                Some(partition) = self.meetups.drained() => self.meetups.go_on(partition),
                // A partition in which nobody says anything has its place, and its lag told, all the same.
                () = group.moved() => {}
                () = is_due => {}
                Ok(()) = self.stop.changed() => {}
            }
            self.rebalance();
            self.place_due();
            self.write_due();
            let gathered = self.partitions.values().map(|partition| partition.batch.len());
            self.engine.counters.history.gathered.store(gathered.sum::<usize>() as u64, Ordering::Relaxed);
        }
    }

    /// Whether another message can be kept.
    fn has_room(&self) -> bool {
        let gathered = || self.partitions.values().map(|partition| &partition.batch);
        // Redis is there and only slower: it would never catch up if it were left behind.
        let must_wait = self.is_untold() && !self.teller.is_away();
        !must_wait
            && gathered().all(|batch| batch.len() < self.batch && batch.bytes < BATCH_BYTES)
            && gathered().map(Batch::len).sum::<usize>() < GATHERED.saturating_mul(self.batch)
            && gathered().map(|batch| batch.bytes).sum::<usize>() < GATHERED * BATCH_BYTES
    }

    /// Whether the reading state has as much to hear as may wait for it.
    fn is_untold(&self) -> bool {
        self.teller.waiting() >= UNTOLD.saturating_mul(self.batch)
    }

    fn gather(&self) -> Duration {
        if *self.stop.borrow() { Duration::ZERO } else { self.gather }
    }

    /// When the next batch is to be written, or the next attempt to place a partition made.
    fn due(&self) -> Option<Instant> {
        let gathered = self.partitions.values().filter(|partition| partition.writing.is_none());
        let batch = gathered.filter_map(|partition| Some(partition.batch.since? + self.gather())).min();
        batch.into_iter().chain(self.place_at()).min()
    }

    /// Takes note of partitions that have come or gone.
    fn rebalance(&mut self) {
        for what in self.group.moves() {
            match what {
                Move::Assigned(Source::ChatLog(partition)) => {
                    self.forget(partition);
                }
                Move::Lost(Source::ChatLog(partition)) => {
                    self.forget(partition);
                    self.unplaced.remove(&partition);
                    self.engine.counters.history.lost(partition);
                }
                Move::Assigned(Source::Events(partition)) => self.meetups.open(partition),
                Move::Lost(Source::Events(partition)) => self.meetups.close(partition),
            }
        }
    }
}
