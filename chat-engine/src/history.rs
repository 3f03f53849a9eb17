//! The log as rows in PostgreSQL: writing batches of it, and reading pages back.

pub mod consumer;
pub mod journal;
mod pages;
mod positions;

use std::sync::Arc;

pub use pages::{Found, Page, Span, find, page};
use positions::PositionChanges;
use sqlx::{PgExecutor, PgPool, types::time::OffsetDateTime};

use crate::{
    log::epoch::Epoch,
    record::{Draft, Record},
};

/// Writes consecutive records of one partition, moves the partition's next offset from `from` to `to` and the
/// positions of the members they are about, all or nothing. `false` if the offset was not at `from`: somebody
/// else writes this partition, or these rows are there already.
pub async fn write(
    executor: impl PgExecutor<'_>,
    epoch: Epoch,
    partition: u16,
    from: u64,
    to: u64,
    records: &[Arc<Record>],
) -> sqlx::Result<bool> {
    let column = |value: fn(&Record) -> i64| records.iter().map(|record| value(record)).collect::<Vec<_>>();
    let positions = PositionChanges::of(records);
    let moved: i64 = sqlx::query_scalar(include_str!("history/write.sql"))
        .bind(epoch.number.cast_signed())
        .bind(i32::from(partition))
        .bind(from.cast_signed())
        .bind(to.cast_signed())
        .bind(column(|record| record.draft.room.get()))
        .bind(column(|record| record.seq.get()))
        .bind(records.iter().map(|record| record.draft.kind.code()).collect::<Vec<_>>())
        .bind(column(|record| record.draft.user.get()))
        .bind(records.iter().map(|record| record.draft.target).collect::<Vec<_>>())
        .bind(records.iter().map(|record| sent_at(&record.draft)).collect::<Vec<_>>())
        // A body is JSON that this engine wrote, or checked to be UTF-8 when it read it from Kafka.
        .bind(records.iter().map(|record| String::from_utf8_lossy(&record.draft.body)).collect::<Vec<_>>())
        .bind(&positions.joined.rooms)
        .bind(&positions.joined.users)
        .bind(&positions.joined.seqs)
        .bind(&positions.advanced.rooms)
        .bind(&positions.advanced.users)
        .bind(&positions.advanced.seqs)
        .bind(&positions.left.rooms)
        .bind(&positions.left.users)
        .fetch_one(executor)
        .await?;
    Ok(moved == 1)
}

fn sent_at(draft: &Draft) -> OffsetDateTime {
    let nanoseconds = i128::from(draft.sent_at_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The next offset of a partition: rows of every lower one are in the database.
pub async fn next_offset(pool: &PgPool, epoch: Epoch, partition: u16) -> sqlx::Result<u64> {
    let next: i64 =
        sqlx::query_scalar("select next_offset from log_progress where epoch = $1 and partition = $2")
            .bind(epoch.number.cast_signed())
            .bind(i32::from(partition))
            .fetch_one(pool)
            .await?;
    Ok(next.cast_unsigned())
}
