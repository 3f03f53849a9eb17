//! Writing batches: as one statement, which waits for one round trip, or by COPY, which carries the most rows.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use sqlx::{PgExecutor, PgPool, Postgres, pool::PoolConnection, types::time::OffsetDateTime};

use super::{
    changes::{NewRow, Rows, text},
    copy,
    positions::{self, PositionChanges},
};
use crate::{
    log::{epoch::Epoch, repeats::Key},
    record::{Draft, Record},
};

/// How long the connection beside a batch may take to come: longer than that of the batch before takes to go back.
const SPARE: Duration = Duration::from_millis(20);

/// A part of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The log.
    pub epoch: Epoch,
    /// The partition.
    pub partition: u16,
    /// Its first offset.
    pub from: u64,
    /// The offset behind it.
    pub to: u64,
}

/// Writes consecutive records of one partition, moves the partition's next offset from `from` to `to` and the
/// positions of the members they are about, all or nothing. `false` if the offset was not at `from`: somebody
/// else writes this partition, or these rows are there already.
///
/// For few records that somebody waits for: one round trip, unless they change older messages.
pub async fn write(
    pool: &PgPool,
    epoch: Epoch,
    partition: u16,
    from: u64,
    to: u64,
    records: &[Arc<Record>],
) -> sqlx::Result<bool> {
    let stretch = Stretch { epoch, partition, from, to };
    let rows = Rows::of(pool, records).await?;
    let positions = PositionChanges::of(records);
    if !rows.change_others() {
        return move_on(pool, stretch, 0, &positions, &rows.new).await;
    }
    let mut transaction = pool.begin().await?;
    if !move_on(&mut *transaction, stretch, 0, &positions, &rows.new).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    rows.update(&mut transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Whether these records, the last of which says it for all, are rows: another process' record may have taken the place of
/// one that has none.
pub async fn is_written(pool: &PgPool, records: &[Arc<Record>]) -> sqlx::Result<bool> {
    let Some(last) = records.last() else { return Ok(true) };
    sqlx::query_scalar(
        // One index or the other.
        "with found as ( \
            select kind, sender_id, sent_at from chat_messages where room_id = $1 and seq = $2 and kind < 3 union all \
            select kind, sender_id, sent_at from chat_messages \
            where room_id = $1 and seq = $2 and kind >= 3 and body <> '' \
         ) select exists (select from found where (kind, sender_id, sent_at) = ($3, $4, $5))",
    )
    .bind(last.draft.room)
    .bind(last.seq)
    .bind(last.draft.kind.code())
    .bind(last.draft.user)
    .bind(sent_at(&last.draft))
    .fetch_one(pool)
    .await
}

/// The same for many records, by COPY. `told`: the reading state has been told of every offset before it.
///
/// It goes on when it is dropped: sqlx leaves a connection whose COPY is dropped one answer behind the server, and whoever
/// gets it next from the pool takes another's rows for its own.
pub async fn write_many(
    pool: &PgPool,
    stretch: Stretch,
    told: u64,
    records: &[Arc<Record>],
) -> sqlx::Result<bool> {
    let (pool, records) = (pool.clone(), records.to_vec());
    match tokio::spawn(async move { copy_all(&pool, stretch, told, &records).await }).await {
        Ok(written) => written,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends.
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

async fn copy_all(pool: &PgPool, stretch: Stretch, told: u64, records: &[Arc<Record>]) -> sqlx::Result<bool> {
    let rows = Rows::of(pool, records).await?;
    let mut positions = PositionChanges::of(records);
    let advanced = std::mem::take(&mut positions.advanced);
    let mut transaction = pool.begin().await?;
    // First, for it locks: whoever loses a race has not written a row.
    if !move_on(&mut *transaction, stretch, told, &positions, &[]).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    // Senders' positions take half as long as the rows, and need not wait for them: too early they do no harm, for the
    // records are in the log. But whoever loads positions with the next offset has those of every row before it.
    if let Some(mut beside) = spare_connection(pool, &positions).await {
        // Both to their ends: a COPY is not to be dropped.
        let (copied, moved) = tokio::join!(
            copy::copy(&mut transaction, &rows.new),
            positions::advance(&mut *beside, &advanced)
        );
        copied.and(moved)?;
    } else {
        positions::advance(&mut *transaction, &advanced).await?;
        copy::copy(&mut transaction, &rows.new).await?;
    }
    if rows.change_others() {
        rows.update(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// A connection beside that of a transaction which has made `held`. Only one that comes at once, since transactions that hold
/// one and wait for another could all wait for ever; and only where the transaction holds no positions: whoever waited there
/// for it would never see it go on.
async fn spare_connection(pool: &PgPool, held: &PositionChanges) -> Option<PoolConnection<Postgres>> {
    if held.joined.is_empty() && held.left.is_empty() {
        tokio::time::timeout(SPARE, pool.acquire()).await.ok()?.ok()
    } else {
        None
    }
}

/// Moves the next offset and `positions`, and inserts `rows`.
async fn move_on(
    executor: impl PgExecutor<'_>,
    stretch: Stretch,
    told: u64,
    positions: &PositionChanges,
    rows: &[NewRow],
) -> sqlx::Result<bool> {
    let column = |value: fn(&Record) -> i64| rows.iter().map(|row| value(&row.record)).collect::<Vec<_>>();
    let drafts = || rows.iter().map(|row| &row.record.draft);
    let moved: i64 = sqlx::query_scalar(include_str!("write.sql"))
        .bind(stretch.epoch.number.cast_signed())
        .bind(i32::from(stretch.partition))
        .bind(stretch.from.cast_signed())
        .bind(stretch.to.cast_signed())
        .bind(column(|record| record.draft.room.get()))
        .bind(column(|record| record.seq.get()))
        .bind(drafts().map(|draft| draft.kind.code()).collect::<Vec<_>>())
        .bind(column(|record| record.draft.user.get()))
        .bind(drafts().map(|draft| draft.target).collect::<Vec<_>>())
        .bind(drafts().map(sent_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| text(&row.body)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.changed).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.deleted).collect::<Vec<_>>())
        .bind(&positions.joined.rooms)
        .bind(&positions.joined.users)
        .bind(&positions.joined.seqs)
        .bind(&positions.advanced.rooms)
        .bind(&positions.advanced.users)
        .bind(&positions.advanced.seqs)
        .bind(&positions.left.rooms)
        .bind(&positions.left.users)
        .bind(told.cast_signed())
        .bind(drafts().map(|draft| Key::kept_beside(draft).map(Vec::from)).collect::<Vec<_>>())
        .fetch_one(executor)
        .await?;
    Ok(moved == 1)
}

fn sent_at(draft: &Draft) -> OffsetDateTime {
    let nanoseconds = i128::from(draft.sent_at_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
