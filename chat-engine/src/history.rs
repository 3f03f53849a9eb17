//! The log as rows in PostgreSQL: writing batches of it, and reading pages back.

mod changes;
pub mod consumer;
mod copy;
pub mod journal;
mod latest;
pub(crate) mod memberships;
pub(crate) mod metrics;
mod pages;
mod positions;
pub(crate) mod progress;
mod write;

pub use latest::{Latest, Recent, latest};
pub use pages::{Found, Page, Span, explain, find, page};
use sqlx::PgPool;
pub use write::{Stretch, is_written, write, write_many};

use crate::log::epoch::Epoch;

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
