//! What a shard does not have in memory, read for it: rows, and where those lag so far behind that memory had to let go
//! of what they do not have yet, the log itself.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use shared::{RoomId, Seq};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::inboxes::KEPT;
use crate::{
    history::{self, Found, Latest, Recent, Span},
    log::{Log, epoch::Epoch, partition_of},
    record::{Record, present::fold},
};

/// How long a reading may take. Whoever waits for it is told to try again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Readings of the database at the same time: half of a node's connections to it, the others are for who writes, enters
/// and joins.
const AT_ONCE: usize = 4;
/// Readings that may be under way or wait for their turn: about what the database answers within the patience. More are
/// refused at once.
const MOST: usize = 4_096;

/// Older records cannot be read at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("older messages cannot be read at the moment: try again")]
pub struct Unavailable;

/// A way to what is not in memory.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) pool: PgPool,
    pub(super) epoch: Epoch,
    /// The log, where it can be read back.
    pub(super) log: Arc<OnceLock<Log>>,
    /// Pages read since the node started.
    pub(super) reads: Arc<AtomicU64>,
    pub(super) turns: Turns,
}

/// Who may read, of all shards together.
#[derive(Clone)]
pub(super) struct Turns {
    database: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { database: Arc::new(Semaphore::new(AT_ONCE)), all: Arc::new(Semaphore::new(MOST)) }
    }
}

/// What a reading found.
#[derive(Debug)]
pub(super) struct Rows {
    /// In order, none after the floor of the memory.
    pub(super) records: Vec<Arc<Record>>,
    /// Changes from here on are not in their bodies.
    pub(super) applied: Seq,
    /// There may be more in that direction.
    pub(super) more: bool,
}

impl Reader {
    /// At most `limit` records of a room, none of them after `floor`: what comes behind it is in memory.
    pub(super) async fn rows(
        &self,
        room: RoomId,
        span: Span,
        limit: u16,
        changes: bool,
        floor: Seq,
    ) -> Result<Rows, Unavailable> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let reader = self.clone();
        self.within(async move { reader.read(room, span, limit, changes, floor).await }).await
    }

    async fn read(
        &self,
        room: RoomId,
        span: Span,
        limit: u16,
        changes: bool,
        floor: Seq,
    ) -> anyhow::Result<Rows> {
        let partition = partition_of(room, self.epoch.partitions);
        let turn = self.turn().await?;
        let page = history::page(&self.pool, self.epoch, partition, room, span, limit, changes).await?;
        drop(turn);
        let (mut records, memory) = (page.records, next(floor));
        let all_wanted = records.last().is_none_or(|last| last.seq < memory);
        let mut more = records.len() >= usize::from(limit) && all_wanted;
        // The node may be behind the database: that comes live.
        records.retain(|record| record.seq < memory);
        if page.stored < memory {
            let stretch = self.stretch(room, page.stored, memory).await?;
            if !stretch.is_empty() {
                records.extend(stretch);
                fold(&mut records);
                more |= cut(&mut records, span, limit, changes);
            }
        }
        Ok(Rows { records, applied: page.stored.max(memory), more })
    }

    /// One message that is not in memory.
    pub(super) async fn find(&self, room: RoomId, seq: Seq) -> Result<Option<Found>, Unavailable> {
        let reader = self.clone();
        let find = async move {
            let Self { pool, epoch, .. } = &reader;
            let turn = reader.turn().await?;
            if let Some(found) = history::find(pool, room, seq).await? {
                return Ok(Some(found));
            }
            let stored = history::next_offset(pool, *epoch, partition_of(room, epoch.partitions)).await?;
            drop(turn);
            if seq < epoch.seq(stored) || seq.epoch() != epoch.number {
                return Ok(None);
            }
            let found = reader.stretch(room, seq, next(seq)).await?.into_iter().next();
            let found = found.filter(|record| record.draft.kind == crate::record::RecordKind::Message);
            Ok(found.map(|record| Found { record: (*record).clone(), deleted: false }))
        };
        self.within(find).await
    }

    /// The newest messages of these rooms, as lists of rooms show and count them.
    pub(super) async fn latest(&self, rooms: Vec<Recent>) -> Result<Vec<Latest>, Unavailable> {
        let reader = self.clone();
        let read = async move {
            let _turn = reader.turn().await?;
            // One more than is kept tells that there are more.
            Ok(history::latest(&reader.pool, reader.epoch, &rooms, KEPT + 1).await?)
        };
        self.within(read).await
    }

    /// The place behind everything that is in the log of a room's partition; `None` where this node knows all of it.
    pub(super) async fn end(&self, room: RoomId) -> Result<Option<Seq>, Unavailable> {
        let Some(log) = self.log.get().cloned() else { return Ok(None) };
        let partition = partition_of(room, self.epoch.partitions);
        self.within(async move { Ok(log.end(partition).await?) }).await
    }

    /// Waits so long for a reading. It goes on all the same: a query that is dropped half-way leaves its connection with an
    /// answer that the next query would take for its own. It keeps its turn for so long.
    async fn within<T: Send + 'static>(
        &self,
        reading: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let Ok(place) = self.turns.all.clone().try_acquire_owned() else {
            tracing::warn!("too many wait for history");
            return Err(Unavailable);
        };
        let reading = async move {
            let _place = place;
            reading.await
        };
        match tokio::time::timeout(PATIENCE, tokio::spawn(reading)).await {
            Ok(Ok(Ok(read))) => Ok(read),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "history cannot be read");
                Err(Unavailable)
            }
            Ok(Err(panic)) => {
                tracing::error!(%panic, "reading history failed");
                Err(Unavailable)
            }
            Err(_) => {
                tracing::warn!("history is not read in time");
                Err(Unavailable)
            }
        }
    }

    /// Waits for a turn at the database, for as long as somebody waits for this reading.
    async fn turn(&self) -> anyhow::Result<OwnedSemaphorePermit> {
        let turn = self.turns.database.clone().acquire_owned();
        Ok(tokio::time::timeout(PATIENCE, turn).await.context("others are before it")??)
    }

    /// Records that neither the database nor the memory has.
    async fn stretch(&self, room: RoomId, from: Seq, to: Seq) -> anyhow::Result<Vec<Arc<Record>>> {
        match self.log.get() {
            Some(log) => Ok(log.stretch(room, from, to).await?),
            // Everything that was appended is a row.
            None => Ok(Vec::new()),
        }
    }
}

/// Leaves of records in order what a page over `span` has; whether there were more.
fn cut(records: &mut Vec<Arc<Record>>, span: Span, limit: u16, changes: bool) -> bool {
    let (Span::Before(place) | Span::After(place)) = span;
    let before = matches!(span, Span::Before(_));
    records.retain(|record| {
        let inside = if before { record.seq < place } else { record.seq > place };
        inside && (changes || record.draft.target.is_none())
    });
    let (length, limit) = (records.len(), usize::from(limit));
    if before {
        records.drain(..length.saturating_sub(limit));
    } else {
        records.truncate(limit);
    }
    length > limit
}

/// The place behind this one.
pub(super) fn next(seq: Seq) -> Seq {
    Seq::from_raw(seq.get().saturating_add(1)).unwrap_or(seq)
}
