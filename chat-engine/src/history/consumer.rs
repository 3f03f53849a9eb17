//! The consumer group that turns the log into rows: each partition is read by one node, in batches, each batch one
//! transaction that also moves the partition's stored offset, from where this node believes it to be. PostgreSQL
//! alone says what is a row: whoever gets a partition asks it, and begins ten minutes before, to know what repeats
//! what; the group's own offsets are used for `meetup.events` alone, whose joinings and leavings the same group
//! writes to the log.
//!
//! What is away makes it wait or go on without, in bounded memory. Without PostgreSQL it receives no more when a
//! batch of some partition is full. Without Redis rows go on; what Redis has missed is read again when it is back.

pub(crate) mod dead_letter;
mod group;
mod lag;
mod meetups;
mod partition;
mod placing;
mod stored;
mod teller;
pub(crate) mod writer;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::take,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt as _;
use rdkafka::{Message as _, error::KafkaResult, message::BorrowedMessage};
use shared::{config::EngineSettings, names::Topics};
use sqlx::PgPool;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use self::{
    dead_letter::DeadLetters,
    group::{Group, Move, Source},
    meetups::Meetups,
    partition::{Batch, Partition},
    teller::{News, Tell, Teller, Told},
    writer::{Outcome, Work, Writer},
};
use super::{Stretch, metrics::count};
use crate::{
    engine::Engine,
    log::{bump::is_probe, epoch::Epoch, kafka::codec, repeats::Key},
    reading::Reading,
};

/// Bodies of one batch, in bytes.
const BATCH_BYTES: usize = 8 << 20;
/// Full batches that may be gathered, over all partitions.
const GATHERED: usize = 4;
/// Messages that are taken at a time, before anything else is looked at.
const AT_A_TIME: usize = 256;
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
    /// Partitions of this node whose place is not known.
    unplaced: BTreeSet<i32>,
    /// Not before then.
    place_at: Instant,
    /// How far the reading state has been told of partitions that were placed here.
    told: HashMap<i32, u64>,
    stays: u64,
    writes: JoinSet<(i32, u64, Work, Outcome)>,
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

    /// Consumes until `stop` changes.
    pub(crate) async fn run(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
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
            unplaced: BTreeSet::new(),
            place_at: Instant::now(),
            told: HashMap::new(),
            stays: 0,
            writes: JoinSet::new(),
        };
        tokio::select! {
            // Cancel-safe: what is not written is read again by whoever comes next.
            () = consumer.run() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
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
                    self.take(message).await;
                    for _ in 1..AT_A_TIME {
                        if !self.has_room() {
                            break;
                        }
                        let Some(message) = group.consumer.recv().now_or_never() else { break };
                        self.take(message).await;
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
                Some(partition) = self.meetups.drained() => self.meetups.go_on(partition),
                // A partition in which nobody says anything has its place, and its lag told, all the same.
                () = group.moved() => {}
                () = is_due => {}
            }
            self.rebalance();
            if !self.unplaced.is_empty() && self.place_at <= Instant::now() {
                self.place_all().await;
            }
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

    /// When the next batch is to be written, or the next attempt to place a partition made.
    fn due(&self) -> Option<Instant> {
        let gathered = self.partitions.values().filter(|partition| partition.writing.is_none());
        let batch = gathered.filter_map(|partition| Some(partition.batch.since? + self.gather)).min();
        let place = (!self.unplaced.is_empty()).then_some(self.place_at);
        batch.into_iter().chain(place).min()
    }

    /// Takes note of partitions that have come or gone.
    fn rebalance(&mut self) {
        for what in self.group.moves() {
            match what {
                Move::Assigned(Source::ChatLog(partition)) => {
                    self.partitions.remove(&partition);
                    self.unplaced.insert(partition);
                    self.place_at = Instant::now();
                }
                Move::Lost(Source::ChatLog(partition)) => {
                    self.partitions.remove(&partition);
                    self.unplaced.remove(&partition);
                    self.engine.counters.history.lost(partition);
                }
                Move::Assigned(Source::Events(partition)) => self.meetups.open(partition),
                Move::Lost(Source::Events(partition)) => self.meetups.close(partition),
            }
        }
    }

    async fn take(&mut self, received: KafkaResult<BorrowedMessage<'_>>) {
        // Before this message: it may be of a partition that has just come.
        self.rebalance();
        let message = match received {
            Ok(message) => message,
            // librdkafka goes on by itself; what it cannot mend it says again and again.
            Err(error) => {
                tracing::warn!(%error, "consuming the log");
                return;
            }
        };
        if message.topic() != &*self.group.chat_topic {
            self.meetups.take(message.detach());
            return;
        }
        let (number, offset) = (message.partition(), message.offset().unsigned_abs());
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        if offset < partition.position {
            return;
        }
        if offset > partition.position && partition.asked_again != Some(partition.position) {
            self.ask_again(number).await;
            return;
        }
        partition.position = offset + 1;
        let decoded = codec::decode(self.epoch, &message);
        // What is no record moves the log's time too: every reader has to have the same.
        let key = decoded.as_ref().ok().and_then(|record| Key::of(&record.draft));
        let time = message.timestamp().to_millis().unwrap_or(0);
        let first = partition.repeats.take(key, self.epoch.seq(offset), time);
        if decoded.is_ok() {
            if offset >= partition.begin {
                partition.batch.push(offset, decoded.ok().filter(|_| first.is_none()));
            }
        } else if let Err(poison) = decoded
            && offset >= partition.begin
        {
            if offset >= partition.next && !is_probe(message.key(), message.payload()) {
                partition.batch.push_poison(offset, message.detach(), poison.to_string());
            } else {
                partition.batch.push(offset, None);
            }
        }
    }

    /// A message came that is not the next one. Either those between are gone from Kafka, or it was fetched before
    /// the last seek; the answer to another seek tells.
    async fn ask_again(&mut self, number: i32) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        let position = partition.position;
        let low = match self.group.watermarks(number).await {
            Ok((low, _)) => low,
            Err(error) => {
                tracing::warn!(%error, number, "a gap in the chat log, not understood yet");
                self.forget(number);
                return;
            }
        };
        let next = partition.next.max(position);
        partition.position = position.max(low);
        partition.asked_again = Some(partition.position);
        let position = partition.position;
        self.note_missing(number, next, low);
        if let Err(error) = self.group.seek(number, position).await {
            tracing::warn!(%error, number, "a gap in the chat log, not understood yet");
            self.forget(number);
        }
    }

    /// Records from `next` on are gone that are no rows.
    fn note_missing(&self, partition: i32, next: u64, low: u64) {
        let missing = low.saturating_sub(next);
        if missing > 0 {
            tracing::error!(
                partition,
                missing,
                "records are missing from the history: PostgreSQL was away for longer than Kafka keeps them"
            );
            count(&self.engine.counters.history.missing, missing);
        }
    }

    /// The partition finds its place anew.
    fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
        self.unplaced.insert(partition);
    }

    /// Starts to write every batch that has gathered for long enough.
    fn write_due(&mut self) {
        let now = Instant::now();
        for (number, partition) in &mut self.partitions {
            let Some(since) = partition.batch.since else { continue };
            let is_full = partition.batch.len() >= self.batch || partition.batch.bytes >= BATCH_BYTES;
            if partition.writing.is_some() || !(is_full || since + self.gather <= now) {
                continue;
            }
            let Batch { records, poison, to, .. } = take(&mut partition.batch);
            let stretch =
                Stretch { epoch: self.epoch, partition: partition.number, from: partition.next, to };
            let work = Work { stretch, told: partition.told, records, poison };
            let (writer, number, stay) = (self.writer.clone(), *number, partition.stay);
            partition.writing = Some(self.writes.spawn(async move {
                let outcome = writer.write(&work).await;
                (number, stay, work, outcome)
            }));
        }
    }

    fn written(&mut self, number: i32, stay: u64, work: Work, outcome: Outcome) {
        let is_untold = self.is_untold();
        let Some(partition) = self.partitions.get_mut(&number).filter(|partition| partition.stay == stay)
        else {
            return;
        };
        partition.writing = None;
        if outcome == Outcome::Lost {
            tracing::info!(partition = number, "somebody else has written this partition");
            self.forget(number);
            return;
        }
        let to = work.stretch.to;
        partition.next = partition.next.max(to);
        self.engine.counters.history.reached(number, partition.next);
        if is_untold && self.teller.is_away() && !partition.behind {
            tracing::warn!(
                partition = number,
                from = partition.told,
                "the reading state falls behind the history"
            );
            partition.behind = true;
        }
        if partition.behind {
            self.catch_up();
        } else {
            partition.telling += 1;
            self.teller.tell(Tell { partition: number, stay, to, records: work.records });
        }
    }

    /// The reading state has been told of a batch.
    fn hear(&mut self, told: &Told) {
        let known = self.told.entry(told.partition).or_default();
        *known = told.to.max(*known);
        if let Some(partition) = self.partitions.get_mut(&told.partition)
            && partition.stay == told.stay
        {
            partition.telling -= 1;
            partition.told = told.to.max(partition.told);
        }
        self.catch_up();
    }

    /// Once the reading state is back, partitions that it has missed records of are read from there again.
    fn catch_up(&mut self) {
        if self.teller.is_away() || self.teller.waiting() > 0 {
            return;
        }
        let due: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.behind && partition.writing.is_none())
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            tracing::info!(partition = number, "the reading state is back, and told what it has missed");
            self.forget(number);
            self.place_at = Instant::now();
        }
    }
}
