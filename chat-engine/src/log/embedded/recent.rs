//! The last ten minutes of an embedded log, after a start. The rows are the log: a repeat has none.

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use shared::{RoomId, Seq, UserId};
use sqlx::{PgPool, types::time::OffsetDateTime};

use crate::{
    log::{
        epoch::Epoch,
        repeats::{Key, Repeats, WINDOW_MS},
    },
    record::{Draft, RecordKind, now_ms},
};

#[derive(sqlx::FromRow)]
struct Row {
    room_id: RoomId,
    seq: Seq,
    kind: i16,
    sender_id: Option<UserId>,
    sent_at: OffsetDateTime,
    body: String,
    repeat_key: Option<Vec<u8>>,
}

/// What of a body is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Body<'a> {
    #[serde(borrow)]
    client_id: Option<std::borrow::Cow<'a, str>>,
}

/// What a process that begins now has to know of the log that `epoch` is.
pub(super) async fn load(pool: &PgPool, epoch: Epoch) -> sqlx::Result<Repeats> {
    let mut repeats = Repeats::new(epoch.number);
    let since = i128::from(now_ms() - WINDOW_MS) * 1_000_000;
    let since = OffsetDateTime::from_unix_timestamp_nanos(since).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // By time and not by seq: rows lie in its order, and a small index knows where.
    let mut rows = sqlx::query_as::<_, Row>(
        "select room_id, seq, kind, sender_id, sent_at, body, repeat_key from chat_messages \
         where sent_at >= $1 and seq >= $2 order by seq",
    )
    .bind(since)
    .bind(epoch.seq(0))
    .fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let (seq, sent_at) = (row.seq, row.sent_at);
        // Milliseconds since 1970 fit an i64 for 292 million years.
        let sent_at_ms = i64::try_from(sent_at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        let _ = repeats.take(row.key(sent_at_ms), seq, sent_at_ms);
    }
    Ok(repeats)
}

impl Row {
    fn key(self, sent_at_ms: i64) -> Option<Key> {
        if let Some(kept) = &self.repeat_key {
            return Key::from_kept(kept);
        }
        let client_id = serde_json::from_str::<Body<'_>>(&self.body).ok()?.client_id?;
        Key::of(&Draft {
            room: self.room_id,
            kind: RecordKind::from_code(self.kind)?,
            user: self.sender_id?,
            target: None,
            client_id: Some((&*client_id).into()),
            sent_at_ms,
            body: bytes::Bytes::new(),
        })
    }
}
