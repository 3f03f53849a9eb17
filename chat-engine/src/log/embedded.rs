//! The log of a single process: one committer, many messages in each transaction.
//!
//! While a transaction commits the next batch gathers, so a batch is as large as the load makes it and a lone
//! message waits for nobody. Where several came together the next ones are given a moment, too. The next offset is a row of the same transaction, compared before it is set: order
//! is commit order, and a second process on the same database cannot write between.
//!
//! A repeat is known before it is written: the rows are the log, and the committer has seen those of the last ten
//! minutes, its own or, after a start, the last process'.

mod recent;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use shared::Seq;
use sqlx::PgPool;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    AppendError, Completion,
    epoch::Epoch,
    repeats::{Key, Repeats},
};
use crate::{
    history,
    reading::Reading,
    record::{Draft, Record, now_ms},
    shard::Shards,
};

/// The embedded log has one partition.
pub const PARTITION: u16 = 0;
/// Records that may wait for the committer.
const QUEUE: usize = 8192;
/// Records of one transaction at most.
const BATCH: usize = 512;
/// From the beginning of a transaction of several records to that of the next, at least: under load a transaction costs more
/// than the records in it.
const PACE: Duration = Duration::from_millis(2);
/// Between two attempts to reach the database.
const RETRY: Duration = Duration::from_millis(100);

/// Takes records to the committer.
#[derive(Clone)]
pub struct EmbeddedLog {
    queue: mpsc::Sender<Entry>,
    /// How long a sender waits for a database that does not answer.
    patience: Duration,
    repeats: Arc<Mutex<Repeats>>,
}

/// A record on its way.
struct Entry {
    draft: Draft,
    done: Completion,
    deadline: Instant,
}

/// Where the last process ended.
pub struct Place {
    /// The log in use.
    pub epoch: Epoch,
    /// The next offset.
    pub next: u64,
    /// What of the last ten minutes is there. Only the committer adds to it.
    repeats: Arc<Mutex<Repeats>>,
}

impl Place {
    /// Finds it in the database.
    pub async fn find(pool: &PgPool, epoch: Epoch) -> sqlx::Result<Self> {
        let next = history::next_offset(pool, epoch, PARTITION).await?;
        Ok(Self { epoch, next, repeats: Arc::new(Mutex::new(recent::load(pool, epoch).await?)) })
    }
}

/// Writes the log.
pub struct Committer {
    pool: PgPool,
    place: Place,
    queue: mpsc::Receiver<Entry>,
    /// Taken from the queue while a transaction was committing, the oldest first.
    held: Vec<Entry>,
    reading: Reading,
    shards: Shards,
}

/// Who is to be answered with what when a batch is committed.
struct Waiting {
    seq: Seq,
    done: Completion,
    deadline: Instant,
}

impl EmbeddedLog {
    /// Starts the committer at the place where the last process ended. It ends, everything committed, when
    /// the last `EmbeddedLog` is dropped.
    pub fn start(
        pool: &PgPool,
        place: Place,
        patience: Duration,
        reading: Reading,
        shards: Shards,
    ) -> (Self, JoinHandle<anyhow::Result<()>>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let repeats = place.repeats.clone();
        let pool = shared::database::for_one_writer(pool);
        let committer = Committer { pool, place, queue, held: Vec::new(), reading, shards };
        (Self { queue: sender, patience, repeats }, tokio::spawn(committer.run()))
    }

    pub(super) fn knows(&self, key: Key) -> bool {
        self.repeats.lock().first(key, now_ms()).is_some()
    }

    pub(super) fn append(&self, draft: Draft, done: Completion) {
        let deadline = Instant::now() + self.patience;
        if let Err(refused) = self.queue.try_send(Entry { draft, done, deadline }) {
            let (error, entry) = match refused {
                mpsc::error::TrySendError::Full(entry) => (AppendError::Busy, entry),
                mpsc::error::TrySendError::Closed(entry) => (AppendError::Unavailable, entry),
            };
            (entry.done)(Err(error));
        }
    }
}

impl Committer {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.extend(self.held.drain(..self.held.len().min(BATCH)));
            if batch.is_empty() && self.queue.recv_many(&mut batch, BATCH).await == 0 {
                return Ok(());
            }
            let (records, mut waiting) = self.number(batch.drain(..));
            let (begun, several) = (Instant::now(), records.len() > 1);
            if !records.is_empty() {
                self.commit(&records, &mut waiting).await?;
                self.shards.timing().append.note(begun.elapsed());
                self.hand_on(records).await?;
            }
            for Waiting { seq, done, .. } in waiting.drain(..) {
                done(Ok(seq));
            }
            if several {
                self.meanwhile(&mut waiting, tokio::time::sleep_until(begun + PACE)).await;
            }
        }
    }

    /// Gives every record that repeats none its place.
    fn number(&mut self, entries: impl Iterator<Item = Entry>) -> (Vec<Arc<Record>>, Vec<Waiting>) {
        let (mut records, mut waiting) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let Place { epoch, next, repeats } = &mut self.place;
        let mut repeats = repeats.lock();
        for Entry { draft, done, deadline } in entries {
            let key = Key::of(&draft);
            let first = key.and_then(|key| repeats.first(key, draft.sent_at_ms));
            if let Some(first) = first {
                // Its first may be in this batch: nobody is answered before that is committed.
                waiting.push(Waiting { seq: first, done, deadline });
                continue;
            }
            let seq = epoch.seq(*next + records.len() as u64);
            let _ = repeats.take(key, seq, draft.sent_at_ms);
            records.push(Arc::new(Record { seq, draft }));
            waiting.push(Waiting { seq, done, deadline });
        }
        (records, waiting)
    }

    async fn hand_on(&mut self, records: Vec<Arc<Record>>) -> anyhow::Result<()> {
        self.place.next += records.len() as u64;
        // The reading state first: a joined member is then there before anything after it is counted.
        self.reading.tell(&records).await?;
        for record in records {
            self.shards.record(record).await;
        }
        self.shards.stored(PARTITION, self.place.epoch.seq(self.place.next));
        Ok(())
    }

    /// Commits until it is known to be done. Senders are told in time that it is not known.
    async fn commit(&mut self, records: &[Arc<Record>], waiting: &mut Vec<Waiting>) -> anyhow::Result<()> {
        let (pool, epoch, from) = (self.pool.clone(), self.place.epoch, self.place.next);
        let to = from + records.len() as u64;
        // Whether an attempt may have committed although its answer was lost.
        let mut unknown = false;
        loop {
            let write = history::write(&pool, epoch, PARTITION, from, to, records);
            let error = match self.meanwhile(waiting, write).await {
                Ok(true) => return Ok(()),
                Ok(false) => match self.meanwhile(waiting, history::is_written(&pool, records)).await {
                    Ok(true) if unknown => return Ok(()),
                    Ok(_) => anyhow::bail!(
                        "another process writes this database's chat log: its next offset is not {from} any more"
                    ),
                    Err(error) => error,
                },
                Err(error) => {
                    unknown = true;
                    error
                }
            };
            tracing::warn!(%error, records = records.len(), "chat records not committed, trying again");
            self.meanwhile(waiting, tokio::time::sleep(RETRY)).await;
        }
    }

    /// While something is done that takes as long as the database likes, takes what comes and gives up what has
    /// waited for too long: the batch is written all the same, what was behind it is not.
    async fn meanwhile<T>(&mut self, waiting: &mut Vec<Waiting>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let (batch, held) = (waiting.first().map(|first| first.deadline), self.held.first());
            let due = batch.into_iter().chain(held.map(|first| first.deadline)).min();
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let room = if self.queue.is_closed() { 0 } else { QUEUE.saturating_sub(self.held.len()) };
            tokio::select! {
                // Every arm is cancel-safe: the work is kept, `recv_many` takes nothing when dropped.
                outcome = &mut work => return outcome,
                _ = self.queue.recv_many(&mut self.held, room.min(BATCH)), if room > 0 => {}
                () = due => {}
            }
            let now = Instant::now();
            let late = waiting.partition_point(|waiting| waiting.deadline <= now);
            waiting.drain(..late).for_each(|waiting| (waiting.done)(Err(AppendError::Unavailable)));
            let late = self.held.partition_point(|entry| entry.deadline <= now);
            self.held.drain(..late).for_each(|entry| (entry.done)(Err(AppendError::Unavailable)));
        }
    }
}
