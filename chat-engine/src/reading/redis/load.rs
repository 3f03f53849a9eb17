//! Bringing a room's positions from PostgreSQL into Redis: at its first use, and after Redis lost them.

use fred::{interfaces::FunctionInterface as _, types::Value};
use shared::{RoomId, Seq, UserId};
use time::OffsetDateTime;

use super::{RedisError, Rooms};
use crate::{log::partition_of, reading::Snapshot};

#[derive(sqlx::FromRow)]
struct Row {
    next_offset: i64,
    user_id: Option<UserId>,
    seq: Option<Seq>,
}

impl Rooms {
    pub(super) async fn snapshot(&self, room: RoomId) -> Result<Snapshot, RedisError> {
        loop {
            let answer: Value =
                self.client.fcall("moyiza_snapshot", self.keys(room), Vec::<String>::new()).await?;
            let Value::Array(answer) = answer else {
                self.warm(room).await?;
                continue;
            };
            return parse_snapshot(&answer).ok_or_else(|| RedisError::Answer(format!("{answer:?}")));
        }
    }

    /// Makes sure that Redis has the room.
    pub(super) async fn warm(&self, room: RoomId) -> Result<(), RedisError> {
        loop {
            // No two loads have the same token: a load that something came between is refused.
            let token = getrandom::u64().map_err(|error| RedisError::Answer(error.to_string()))?.to_string();
            let state: String =
                self.client.fcall("moyiza_begin_load", self.keys(room), vec![token.clone()]).await?;
            if state == "WARM" {
                return Ok(());
            }
            let arguments = self.stored(room, token).await?;
            let state: String = self.client.fcall("moyiza_load", self.keys(room), arguments).await?;
            if state != "AGAIN" {
                return Ok(());
            }
        }
    }

    /// The arguments of `moyiza_load`.
    async fn stored(&self, room: RoomId, token: String) -> Result<Vec<String>, RedisError> {
        let partition = partition_of(room, self.epoch.partitions);
        // Positions and how far they reach, as of one moment.
        let rows: Vec<Row> = sqlx::query_as(
            "select progress.next_offset, position.user_id, position.seq from log_progress as progress \
             left join read_positions as position on position.room_id = $3 \
             where progress.epoch = $1 and progress.partition = $2",
        )
        .bind(self.epoch.number.cast_signed())
        .bind(i32::from(partition))
        .bind(room)
        .fetch_all(&self.pool)
        .await?;
        let next = rows.first().map_or(0, |row| row.next_offset.cast_unsigned());
        // Later than every version before it: a replica of what Redis lost sees a gap and fetches again.
        let version = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let mut arguments = vec![token, version.to_string(), self.epoch.before(next).to_string()];
        for row in rows {
            if let (Some(user), Some(seq)) = (row.user_id, row.seq) {
                arguments.extend([user.to_string(), seq.to_string()]);
            }
        }
        Ok(arguments)
    }
}

fn parse_snapshot(answer: &[Value]) -> Option<Snapshot> {
    let (version, positions) = answer.split_first()?;
    let mut snapshot = Snapshot { version: version.as_str()?.parse().ok()?, positions: Vec::new() };
    for pair in positions.chunks_exact(2) {
        let (user, seq) = (pair[0].as_str()?.parse().ok()?, pair[1].as_str()?.parse().ok()?);
        snapshot.positions.push((user, seq));
    }
    Some(snapshot)
}
