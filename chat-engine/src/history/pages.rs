//! Rows read back: pages of what a room shows, and the changes that a replay repeats.
//!
//! Every statement reads an index from where the page begins and ends after as many rows as it gives: a page costs the
//! same at any depth, however many changes lie between its rows.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use shared::{RoomId, Seq, UserId};
use sqlx::{AssertSqlSafe, FromRow, PgPool, types::time::OffsetDateTime};

use crate::{
    log::epoch::Epoch,
    record::{Draft, Record, RecordKind},
};

/// Which rows of a room, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The last ones before this place.
    Before(Seq),
    /// The first ones after it.
    After(Seq),
}

/// Rows of one room.
#[derive(Debug)]
pub struct Page {
    /// In order.
    pub records: Vec<Arc<Record>>,
    /// Rows of the room's partition before this place are all in the database.
    pub stored: Seq,
}

/// A message, and whether it still says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// With its present body.
    pub record: Record,
    /// Its content is gone.
    pub deleted: bool,
}

/// The statement of a page. It is planned at every call and with its numbers in it, in the round trip that runs it, and
/// may use nothing but an index in its order: a plan for numbers that are not known yet, or statistics that have not
/// seen a room's latest million rows, would now and then gather all rows of a room and sort them.
fn statement(epoch: Epoch, partition: u16, room: RoomId, span: Span, limit: u16, events: bool) -> String {
    let (place, order) = match span {
        Span::Before(place) => (format!("seq < {place}"), "seq desc"),
        Span::After(place) => (format!("seq > {place}"), "seq"),
    };
    // In the words of the two indexes. The time as a number: the answer comes as text, and sqlx cannot read a time of a
    // whole second in it.
    let rows_that = |are: &str| {
        format!(
            "select seq, kind, sender_id, target, (extract(epoch from sent_at) * 1000)::bigint as sent_at_ms, body \
             from chat_messages \
             where room_id = {room} and {are} and {place} order by {order} limit {limit}"
        )
    };
    let shown = rows_that("kind < 3");
    let rows = if events {
        let changes = rows_that("kind >= 3 and body <> ''");
        format!("select * from (({shown}) union all ({changes})) as either order by {order} limit {limit}")
    } else {
        shown
    };
    // Rows and how far the database reaches, as of one moment.
    format!(
        "select progress.next_offset, message.* from log_progress as progress \
         left join lateral ({rows}) as message on true \
         where progress.epoch = {} and progress.partition = {partition} order by {order}",
        epoch.number
    )
}

/// Only for the statement behind it, which is sent with it.
pub(super) const INDEX_ONLY: &str = "set local enable_bitmapscan = off; set local enable_seqscan = off;";

#[derive(FromRow)]
struct Row {
    next_offset: i64,
    seq: Option<Seq>,
    kind: Option<i16>,
    sender_id: Option<UserId>,
    target: Option<Seq>,
    sent_at_ms: Option<i64>,
    body: Option<String>,
}

/// At most `limit` records of a room, with present bodies, and how far the database reaches, as of one moment.
/// Messages, joinings and leavings; with `events` also the edits and deletions, except those that a later one has
/// overtaken.
pub async fn page(
    pool: &PgPool,
    epoch: Epoch,
    partition: u16,
    room: RoomId,
    span: Span,
    limit: u16,
    events: bool,
) -> sqlx::Result<Page> {
    let statement = statement(epoch, partition, room, span, limit, events);
    // Of numbers alone.
    let statement = AssertSqlSafe(format!("{INDEX_ONLY} {statement}"));
    let rows = sqlx::raw_sql(statement).fetch_all(pool).await?;
    let rows = rows.iter().map(Row::from_row).collect::<sqlx::Result<Vec<_>>>()?;
    let stored = epoch.seq(rows.first().map_or(0, |row| row.next_offset.cast_unsigned()));
    let records = rows.into_iter().filter_map(|row| row.into_record(room)).map(Arc::new);
    let mut records: Vec<_> = records.collect();
    if matches!(span, Span::Before(_)) {
        records.reverse();
    }
    Ok(Page { records, stored })
}

/// How PostgreSQL makes such a page, with what it read for it: `explain (analyze, buffers, format json)`.
pub async fn explain(
    pool: &PgPool,
    epoch: Epoch,
    room: RoomId,
    span: Span,
    limit: u16,
    events: bool,
) -> sqlx::Result<serde_json::Value> {
    let statement = statement(epoch, 0, room, span, limit, events);
    let explain = format!("{INDEX_ONLY} explain (analyze, buffers, format json) {statement}");
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(pool).await?;
    let sqlx::types::Json(plan) = sqlx::Row::try_get(&row, 0)?;
    Ok(plan)
}

impl Row {
    /// `None` for the row that carries the offset alone, and for kinds that a newer version wrote.
    fn into_record(self, room: RoomId) -> Option<Record> {
        let draft = Draft {
            room,
            kind: RecordKind::from_code(self.kind?)?,
            user: self.sender_id?,
            target: self.target,
            client_id: None,
            sent_at_ms: self.sent_at_ms?,
            body: Bytes::from(self.body?),
        };
        Some(Record { seq: self.seq?, draft })
    }
}

/// The message of a room at `seq`, if it is a row already.
pub async fn find(pool: &PgPool, room: RoomId, seq: Seq) -> sqlx::Result<Option<Found>> {
    let row: Option<(UserId, OffsetDateTime, String, bool)> = sqlx::query_as(
        "select sender_id, sent_at, body, deleted from chat_messages \
         where room_id = $1 and seq = $2 and kind = 0",
    )
    .bind(room)
    .bind(seq)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(user, sent_at, body, deleted)| {
        let draft = Draft {
            room,
            kind: RecordKind::Message,
            user,
            target: None,
            client_id: None,
            sent_at_ms: i64::try_from(sent_at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
            body: body.into(),
        };
        Found { record: Record { seq, draft }, deleted }
    }))
}
