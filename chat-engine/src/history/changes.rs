//! A batch of records as rows: with what its edits and deletions make of the messages in it, and of messages that
//! are rows already. All is folded before anything is written, so that a statement touches a row once.
//!
//! Rows are read before the transaction that changes them. Nobody else changes them in between: whoever writes
//! records of their partition moves its next offset, and the transaction compares that.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use shared::{RoomId, Seq, UserId};
use sqlx::{PgConnection, PgPool, types::time::OffsetDateTime};

use crate::record::{
    Draft, Record, RecordKind,
    present::{Changes, body_after},
};

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) new: Vec<NewRow>,
    updates: Vec<Update>,
}

/// A record as a row.
#[derive(Debug)]
pub(super) struct NewRow {
    pub(super) record: Arc<Record>,
    /// As it is by the end of the batch; empty for an edit that nobody is to see any more.
    pub(super) body: Bytes,
    pub(super) changed: Option<Seq>,
    pub(super) deleted: bool,
}

/// A message that is a row already.
#[derive(Debug)]
struct Update {
    room: RoomId,
    seq: Seq,
    body: Bytes,
    changed: Seq,
    deleted: bool,
}

/// Messages, and the last change that each of them shows.
type Stored = HashMap<(RoomId, Seq), (Draft, Option<Seq>)>;

impl Rows {
    /// The rows of `records`, which are in order. Asks the database only about messages outside the batch.
    pub(super) async fn of(pool: &PgPool, records: &[Arc<Record>]) -> sqlx::Result<Self> {
        let changes = Changes::of(records);
        let own: HashMap<_, _> = if changes.is_empty() {
            HashMap::new()
        } else {
            records.iter().map(|record| ((record.draft.room, record.seq), record.draft.kind)).collect()
        };
        let outside: Vec<_> =
            changes.iter().map(|(target, _)| target).filter(|target| !own.contains_key(target)).collect();
        let stored = if outside.is_empty() { Stored::new() } else { load(pool, &outside).await? };
        Ok(Self::fold(records, &changes, &stored))
    }

    fn fold(records: &[Arc<Record>], changes: &Changes, stored: &Stored) -> Self {
        let mut updates = Vec::new();
        // Edits of messages that are gone, or show a later one, already.
        let mut late = Vec::new();
        for ((room, seq), change) in changes.iter() {
            let Some((message, shows)) = stored.get(&(room, seq)) else { continue };
            let deleted = change.draft.kind == RecordKind::Deleted;
            let is_newer = shows.is_none_or(|shows| shows < change.seq);
            match body_after(message, &change.draft).filter(|_| is_newer) {
                Some(body) => updates.push(Update { room, seq, body, changed: change.seq, deleted }),
                None if !deleted => late.push(change.seq),
                None => {}
            }
        }
        // In the order of the key: two writers that lock the same rows lock them in the same order.
        updates.sort_unstable_by_key(|update| (update.room, update.seq));
        let row = |record: &Arc<Record>| {
            let mut row = NewRow {
                record: record.clone(),
                body: record.draft.body.clone(),
                changed: None,
                deleted: false,
            };
            if changes.is_void(record) || late.contains(&record.seq) {
                row.body = Bytes::new();
            } else if let Some(change) = changes.of_message(record)
                && let Some(body) = body_after(&record.draft, &change.draft)
            {
                row.body = body;
                row.changed = Some(change.seq);
                row.deleted = change.draft.kind == RecordKind::Deleted;
            }
            row
        };
        Self { new: records.iter().map(row).collect(), updates }
    }

    /// Whether rows that are there already change.
    pub(super) fn change_others(&self) -> bool {
        !self.updates.is_empty()
    }

    /// Changes the messages that are rows already, and empties the edits that came before.
    pub(super) async fn update(&self, transaction: &mut PgConnection) -> sqlx::Result<()> {
        let column = |value: fn(&Update) -> i64| self.updates.iter().map(value).collect::<Vec<_>>();
        // A plan from when the table was small would read all of it.
        sqlx::raw_sql("set local enable_seqscan = off; set local enable_hashjoin = off")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(include_str!("update.sql"))
            .bind(column(|update| update.room.get()))
            .bind(column(|update| update.seq.get()))
            .bind(self.updates.iter().map(|update| text(&update.body)).collect::<Vec<_>>())
            .bind(column(|update| update.changed.get()))
            .bind(self.updates.iter().map(|update| update.deleted).collect::<Vec<_>>())
            .execute(transaction)
            .await?;
        Ok(())
    }
}

/// A body is JSON that this engine wrote, or checked to be UTF-8 when it read it from Kafka.
pub(super) fn text(body: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(body)
}

async fn load(pool: &PgPool, messages: &[(RoomId, Seq)]) -> sqlx::Result<Stored> {
    let rows: Vec<(RoomId, Seq, Option<Seq>, UserId, OffsetDateTime, String)> = sqlx::query_as(
        "select message.room_id, message.seq, message.changed, message.sender_id, message.sent_at, message.body \
         from unnest($1::bigint[], $2::bigint[]) as wanted (room_id, seq) cross join lateral \
         (select * from chat_messages where room_id = wanted.room_id and seq = wanted.seq and kind = 0 limit 1) \
         as message",
    )
    .bind(messages.iter().map(|(room, _)| room.get()).collect::<Vec<_>>())
    .bind(messages.iter().map(|(_, seq)| seq.get()).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    let message = |(room, seq, changed, user, sent_at, body): (_, _, _, _, OffsetDateTime, String)| {
        let sent_at_ms = i64::try_from(sent_at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let kind = RecordKind::Message;
        let draft = Draft { room, kind, user, target: None, client_id: None, sent_at_ms, body: body.into() };
        ((room, seq), (draft, changed))
    };
    Ok(rows.into_iter().map(message).collect())
}
