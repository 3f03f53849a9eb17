//! How far PostgreSQL reaches, as every node wants to know it.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tokio::time::MissedTickBehavior;

use crate::{log::epoch::Epoch, shard::Shards};

/// Tells the shards how far PostgreSQL reaches, so that they let go of what is stored.
pub(crate) async fn watch_progress(pool: PgPool, epoch: Epoch, shards: Shards) {
    let mut known: HashMap<i32, i64> = HashMap::new();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let rows: sqlx::Result<Vec<(i32, i64)>> =
            sqlx::query_as("select partition, next_offset from log_progress where epoch = $1")
                .bind(epoch.number.cast_signed())
                .fetch_all(&pool)
                .await;
        // While the database is away nothing new is stored either.
        for (partition, next) in rows.unwrap_or_default() {
            if known.insert(partition, next) != Some(next)
                && let Ok(number) = u16::try_from(partition)
            {
                shards.stored(number, epoch.seq(next.cast_unsigned()));
            }
        }
    }
}
