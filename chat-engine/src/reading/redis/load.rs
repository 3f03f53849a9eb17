//! Bringing a room's positions from PostgreSQL into Redis: at its first use, and after Redis lost them.

use fred::types::Value;
use shared::{RoomId, Seq, UserId};

use super::{News, RedisError, Rooms, generation::newer, parse_news, random};
use crate::{
    log::partition_of,
    reading::{Change, Life, Snapshot},
};

#[derive(sqlx::FromRow)]
struct Row {
    next_offset: i64,
    closed: bool,
    user_id: Option<UserId>,
    seq: Option<Seq>,
}

impl Rooms {
    pub(super) async fn snapshot(&self, room: RoomId) -> Result<Snapshot, RedisError> {
        loop {
            match self.call("moyiza_snapshot", room, []).await? {
                Value::Array(answer) => {
                    return parse_snapshot(&answer).ok_or_else(|| RedisError::Answer(format!("{answer:?}")));
                }
                refusal => self.make_way(room, &refusal).await?,
            }
        }
    }

    /// What the room has gone through since `version` of `life`; `None` if that is not known any more.
    pub(super) async fn changes(
        &self,
        room: RoomId,
        life: Life,
        version: u64,
    ) -> Result<Option<Vec<Change>>, RedisError> {
        let Value::Array(lines) =
            self.call("moyiza_changes", room, [life.0.to_string(), version.to_string()]).await?
        else {
            return Ok(None);
        };
        let parse = |line: &Value| match parse_news(&line.as_str()?)? {
            News::Changed(change) => Some(change),
            News::Begun(_) => None,
        };
        Ok(lines.iter().map(parse).collect())
    }

    /// Does away with what stands in the way of a call.
    pub(super) async fn make_way(&self, room: RoomId, refusal: &Value) -> Result<(), RedisError> {
        match (refusal.as_str().as_deref(), newer(refusal)) {
            (Some("COLD"), _) => self.warm(room).await,
            (_, Some(generation)) => self.learn_generation(generation).await,
            _ => Err(RedisError::Answer(format!("{refusal:?}"))),
        }
    }

    /// Makes sure that Redis has the room, when it is its turn.
    pub(super) async fn warm(&self, room: RoomId) -> Result<(), RedisError> {
        // The semaphore is never closed.
        let _turn = self.loads.acquire().await;
        loop {
            // Something that is told takes the token back: a load that it came between is refused.
            let token = random()?.to_string();
            let state = self.call("moyiza_begin_load", room, [token]).await?;
            if let Some(generation) = newer(&state) {
                return self.learn_generation(generation).await;
            }
            // This token, or that of another who is loading it.
            let token: String = state.convert()?;
            if token == "WARM" {
                return Ok(());
            }
            let arguments = self.stored(room, token).await?;
            let state: String = self.call("moyiza_load", room, arguments).await?.convert()?;
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
            "select progress.next_offset, position.user_id, position.seq, \
                    exists (select from chat_rooms where id = $3 and closed_at is not null) as closed \
             from log_progress as progress \
             left join read_positions as position on position.room_id = $3 \
             where progress.epoch = $1 and progress.partition = $2",
        )
        .bind(self.epoch.number.cast_signed())
        .bind(i32::from(partition))
        .bind(room)
        .fetch_all(&self.pool)
        .await?;
        let next = rows.first().map_or(0, |row| row.next_offset.cast_unsigned());
        let closed = rows.first().is_some_and(|row| row.closed);
        let mut arguments = vec![token, self.epoch.before(next).to_string(), u8::from(closed).to_string()];
        for row in rows {
            if let (Some(user), Some(seq)) = (row.user_id, row.seq) {
                arguments.extend([user.to_string(), seq.to_string()]);
            }
        }
        Ok(arguments)
    }
}

fn parse_snapshot(answer: &[Value]) -> Option<Snapshot> {
    let (life, rest) = answer.split_first()?;
    let (version, positions) = rest.split_first()?;
    let life = Life(life.as_str()?.parse().ok()?);
    let mut snapshot = Snapshot { life, version: version.as_str()?.parse().ok()?, positions: Vec::new() };
    for pair in positions.chunks_exact(2) {
        let (user, seq) = (pair[0].as_str()?.parse().ok()?, pair[1].as_str()?.parse().ok()?);
        snapshot.positions.push((user, seq));
    }
    Some(snapshot)
}
