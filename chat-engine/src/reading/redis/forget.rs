//! Emptying Redis of what will not be true any more.

use fred::{
    interfaces::{ClientLike as _, KeysInterface as _},
    types::Value,
};
use shared::RoomId;
use sqlx::PgPool;

use super::{RedisError, builder, keys};

/// Rooms of one pipeline.
const BATCH: usize = 1024;

/// Lets Redis forget every room of `pool`, while no node runs: the next to use one loads it from PostgreSQL.
pub async fn forget_rooms(url: &str, prefix: &str, pool: &PgPool) -> Result<(), RedisError> {
    let rooms: Vec<RoomId> = sqlx::query_scalar("select id from chat_rooms").fetch_all(pool).await?;
    let client = builder(url)?.build()?;
    client.init().await?;
    for rooms in rooms.chunks(BATCH) {
        let pipeline = client.pipeline();
        for room in rooms {
            pipeline.del::<(), _>(keys(prefix, *room)).await?;
        }
        pipeline.all::<Value>().await?;
    }
    client.quit().await?;
    Ok(())
}
