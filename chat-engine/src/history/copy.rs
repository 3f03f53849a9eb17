//! Rows by COPY, in PostgreSQL's binary format: numbers need no printing here and no parsing there.

use bytes::{BufMut as _, BytesMut};
use sqlx::PgConnection;

use super::changes::NewRow;
use crate::log::repeats::Key;

const STATEMENT: &str = "copy chat_messages (room_id, seq, kind, sender_id, target, sent_at, body, changed, deleted, \
                         repeat_key) from stdin (format binary)";
const COLUMNS: i16 = 10;
/// PostgreSQL, "COPY", "Binary Format": the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;
const NULL: i32 = -1;
/// 2000-01-01, from which PostgreSQL counts, in milliseconds since 1970.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;
/// Bytes of a row besides its body.
const FIXED: usize = 108;
/// Bytes sent at once. PostgreSQL takes memory for a whole piece, anew for each, and from 128 KiB on from the kernel: a
/// batch in one piece takes it a third longer.
const PIECE: usize = 32 << 10;

/// Sends `rows` in pieces: PostgreSQL makes rows of one while the next is made here.
pub(super) async fn copy(connection: &mut PgConnection, rows: &[NewRow]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut copying = connection.copy_in_raw(STATEMENT).await?;
    let mut piece = BytesMut::with_capacity(PIECE + FIXED);
    piece.put_slice(HEADER);
    for row in rows {
        encode(row, &mut piece);
        if piece.len() >= PIECE {
            copying.send(&piece[..]).await?;
            piece.clear();
        }
    }
    piece.put_i16(TRAILER);
    copying.send(&piece[..]).await?;
    copying.finish().await?;
    Ok(())
}

fn encode(row: &NewRow, out: &mut BytesMut) {
    let draft = &row.record.draft;
    out.reserve(row.body.len() + FIXED);
    out.put_i16(COLUMNS);
    put_i64(out, draft.room.get());
    put_i64(out, row.record.seq.get());
    out.put_i32(2);
    out.put_i16(draft.kind.code());
    put_i64(out, draft.user.get());
    put_optional(out, draft.target.map(shared::Seq::get));
    put_i64(out, draft.sent_at_ms.saturating_sub(POSTGRES_EPOCH_MS).saturating_mul(1000));
    // Far below the gigabyte that a field may have: a body came in a frame, or in a message of Kafka.
    out.put_i32(i32::try_from(row.body.len()).unwrap_or(i32::MAX));
    out.put_slice(&row.body);
    put_optional(out, row.changed.map(shared::Seq::get));
    out.put_i32(1);
    out.put_u8(row.deleted.into());
    match Key::kept_beside(draft) {
        Some(key) => {
            out.put_i32(16);
            out.put_slice(&key);
        }
        None => out.put_i32(NULL),
    }
}

fn put_i64(out: &mut BytesMut, value: i64) {
    out.put_i32(8);
    out.put_i64(value);
}

fn put_optional(out: &mut BytesMut, value: Option<i64>) {
    match value {
        Some(value) => put_i64(out, value),
        None => out.put_i32(NULL),
    }
}
