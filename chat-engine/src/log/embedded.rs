//! The log of a single process: one committer, many messages in each transaction.
//!
//! While a transaction commits the next batch gathers, so a batch is as large as the load makes it and a lone
//! message waits for nobody. The next offset is a row of the same transaction, compared before it is set: order
//! is commit order, and a second process on the same database cannot write between.

use std::{sync::Arc, time::Duration};

use shared::Seq;
use sqlx::PgPool;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{AppendError, Completion, epoch::Epoch};
use crate::{
    history,
    reading::Reading,
    record::{Draft, Record},
    shard::Shards,
};

/// The embedded log has one partition.
pub const PARTITION: u16 = 0;
/// Records that may wait for the committer.
const QUEUE: usize = 8192;
/// Records of one transaction at most.
const BATCH: usize = 512;
/// How long a sender waits for a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to reach the database.
const RETRY: Duration = Duration::from_millis(100);

/// Takes records to the committer.
#[derive(Clone)]
pub struct EmbeddedLog {
    queue: mpsc::Sender<(Draft, Completion)>,
}

/// Writes the log.
pub struct Committer {
    pool: PgPool,
    epoch: Epoch,
    next: u64,
    queue: mpsc::Receiver<(Draft, Completion)>,
    reading: Reading,
    shards: Shards,
}

impl EmbeddedLog {
    /// Starts the committer at the offset where the last process ended. It ends, everything committed, when
    /// the last `EmbeddedLog` is dropped.
    pub fn start(
        pool: PgPool,
        epoch: Epoch,
        next: u64,
        reading: Reading,
        shards: Shards,
    ) -> (Self, JoinHandle<anyhow::Result<()>>) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let committer = Committer { pool, epoch, next, queue, reading, shards };
        (Self { queue: sender }, tokio::spawn(committer.run()))
    }

    pub(super) fn append(&self, draft: Draft, done: Completion) {
        if let Err(refused) = self.queue.try_send((draft, done)) {
            let (error, (_, done)) = match refused {
                mpsc::error::TrySendError::Full(entry) => (AppendError::Busy, entry),
                mpsc::error::TrySendError::Closed(entry) => (AppendError::Unavailable, entry),
            };
            done(Err(error));
        }
    }
}

impl Committer {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        while self.queue.recv_many(&mut batch, BATCH).await > 0 {
            let (mut records, mut waiting) =
                (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
            for (offset, (draft, done)) in (self.next..).zip(batch.drain(..)) {
                let seq = self.epoch.seq(offset);
                records.push(Arc::new(Record { seq, draft }));
                waiting.push((seq, done));
            }
            self.commit(&records, &mut waiting).await?;
            self.next += records.len() as u64;
            // The reading state first: a joined member is then there before anything after it is counted.
            self.reading.tell(&records).await;
            for record in records {
                self.shards.record(record).await;
            }
            self.shards.stored(PARTITION, self.epoch.seq(self.next));
            for (seq, done) in waiting {
                done(Ok(seq));
            }
        }
        Ok(())
    }

    /// Commits until it is known to be done. Senders are told after [`PATIENCE`] that it is not known.
    async fn commit(
        &self,
        records: &[Arc<Record>],
        waiting: &mut Vec<(Seq, Completion)>,
    ) -> anyhow::Result<()> {
        let (from, to) = (self.next, self.next + records.len() as u64);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let error = match history::write(&self.pool, self.epoch, PARTITION, from, to, records).await {
                Ok(true) => return Ok(()),
                Ok(false) => match history::next_offset(&self.pool, self.epoch, PARTITION).await {
                    // An earlier attempt did commit; only its answer was lost.
                    Ok(next) if next == to => return Ok(()),
                    Ok(next) => anyhow::bail!(
                        "another process writes this database's chat log: its next offset is {next}, not {from}"
                    ),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            tracing::warn!(%error, records = records.len(), "chat records not committed, trying again");
            if Instant::now() >= deadline {
                waiting.drain(..).for_each(|(_, done)| done(Err(AppendError::Unavailable)));
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
