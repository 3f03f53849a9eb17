//! The newest messages of many rooms at once, as lists of rooms need them: one statement for all of them.

use bytes::Bytes;
use shared::{RoomId, Seq, UserId};
use sqlx::{AssertSqlSafe, FromRow, PgPool};

use super::pages::INDEX_ONLY;
use crate::{
    log::{epoch::Epoch, partition_of},
    record::{Draft, Record, RecordKind},
};

/// What is to be known of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Which.
    pub room: RoomId,
    /// Messages after this place.
    pub since: Seq,
    /// None after this one.
    pub up_to: Seq,
}

/// What is known of a room.
#[derive(Clone, Debug)]
pub struct Latest {
    /// Which.
    pub room: RoomId,
    /// The last message, also where it is not among those that were asked for.
    pub last: Option<Record>,
    /// The last of the messages that were asked for, in order and with their senders. Deleted ones are left out.
    pub counted: Vec<(Seq, UserId)>,
    /// Rows of the room's partition before this place are all in the database.
    pub stored: Seq,
}

#[derive(FromRow)]
struct Row {
    room_id: RoomId,
    next_offset: Option<i64>,
    seq: Option<Seq>,
    sender_id: Option<UserId>,
    sent_at_ms: Option<i64>,
    body: Option<String>,
    counted: Option<String>,
}

/// Reads at most `limit` messages of each room, and the last one.
pub async fn latest(
    pool: &PgPool,
    epoch: Epoch,
    rooms: &[Recent],
    limit: usize,
) -> sqlx::Result<Vec<Latest>> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = |recent: &Recent| {
        let Recent { room, since, up_to } = recent;
        format!(
            "({room}::bigint, {since}::bigint, {up_to}::bigint, {})",
            partition_of(*room, epoch.partitions)
        )
    };
    let wanted: Vec<_> = rooms.iter().map(wanted).collect();
    // In the words of the index, and the time as a number, as pages do it.
    let messages = "from chat_messages where room_id = wanted.room_id and kind < 3 and kind = 0";
    let statement = format!(
        "select wanted.room_id, progress.next_offset, last.seq, last.sender_id, last.sent_at_ms, last.body, \
         counted.counted \
         from (values {}) as wanted (room_id, since, up_to, partition) \
         left join log_progress as progress \
         on progress.epoch = {} and progress.partition = wanted.partition \
         left join lateral (select seq, sender_id, (extract(epoch from sent_at) * 1000)::bigint as sent_at_ms, body \
         {messages} and seq <= wanted.up_to order by seq desc limit 1) as last on true \
         left join lateral (select string_agg(seq || ':' || sender_id, ' ' order by seq) as counted from ( \
         select seq, sender_id {messages} and not deleted and seq <= wanted.up_to and seq > wanted.since \
         order by seq desc limit {limit}) as message) as counted on true",
        wanted.join(", "),
        epoch.number,
    );
    // Of numbers alone.
    let statement = AssertSqlSafe(format!("{INDEX_ONLY} {statement}"));
    let rows = sqlx::raw_sql(statement).fetch_all(pool).await?;
    let latest = |row| Row::from_row(row).map(|row| row.into_latest(epoch));
    rows.iter().map(latest).collect()
}

impl Row {
    fn into_latest(self, epoch: Epoch) -> Latest {
        let room = self.room_id;
        let last = || {
            let draft = Draft {
                room,
                kind: RecordKind::Message,
                user: self.sender_id?,
                target: None,
                client_id: None,
                sent_at_ms: self.sent_at_ms?,
                body: Bytes::from(self.body?),
            };
            Some(Record { seq: self.seq?, draft })
        };
        let parse = |pair: &str| {
            let (seq, sender) = pair.split_once(':')?;
            Some((seq.parse().ok()?, sender.parse().ok()?))
        };
        Latest {
            room,
            last: last(),
            counted: self.counted.iter().flat_map(|counted| counted.split(' ')).filter_map(parse).collect(),
            stored: epoch.seq(self.next_offset.unwrap_or(0).cast_unsigned()),
        }
    }
}
