//! Rows by COPY and nothing else.

use std::time::{Duration, Instant};

use chat_engine::{log::epoch::Epoch, record::Record};
use sqlx::PgPool;

pub(crate) const EPOCH: Epoch = Epoch { number: 1, partitions: 1 };

/// Bytes sent at once, in every way of writing: a batch in one piece takes PostgreSQL a third longer.
const PIECE: usize = 32 << 10;

/// The epoch that is written.
pub(crate) async fn begin(pool: &PgPool, next: u64) {
    sqlx::query("insert into log_epochs (epoch, backend, partitions) values (1, 'kafka', 1)")
        .execute(pool)
        .await
        .unwrap();
    sqlx::query("insert into log_progress (epoch, partition, next_offset) values (1, 0, $1)")
        .bind(next.cast_signed())
        .execute(pool)
        .await
        .unwrap();
}

/// Writes `records` with one COPY in text, in pieces that are made as they are sent, and says how long it took.
pub(crate) async fn text(pool: &PgPool, records: impl Iterator<Item = Record>) -> Duration {
    let mut connection = pool.acquire().await.unwrap();
    let statement = "copy chat_messages (room_id, seq, kind, sender_id, sent_at, body) from stdin";
    let began = Instant::now();
    let mut copying = connection.copy_in_raw(statement).await.unwrap();
    let mut piece = String::new();
    for Record { seq, draft } in records {
        use std::fmt::Write as _;
        let at = draft.sent_at_ms / 1000;
        // The bodies of these benchmarks have nothing that COPY would want escaped.
        let body = std::str::from_utf8(&draft.body).unwrap();
        let (room, kind, user) = (draft.room, draft.kind.code(), draft.user);
        let (day, second) = (1 + at / 86_400 % 28, at % 86_400);
        writeln!(
            piece,
            "{room}\t{seq}\t{kind}\t{user}\t2026-11-{day:02} {:02}:{:02}:{:02}+00\t{body}",
            second / 3600,
            second / 60 % 60,
            second % 60,
        )
        .unwrap();
        if piece.len() >= PIECE {
            copying.send(piece.as_bytes()).await.unwrap();
            piece.clear();
        }
    }
    copying.send(piece.as_bytes()).await.unwrap();
    copying.finish().await.unwrap();
    began.elapsed()
}

/// The same in the binary format, one COPY in a transaction of its own for each chunk; the time of making the bytes is
/// not counted.
pub(crate) async fn binary(pool: &PgPool, chunks: &[Vec<std::sync::Arc<Record>>]) -> Duration {
    let statement =
        "copy chat_messages (room_id, seq, kind, sender_id, sent_at, body) from stdin (format binary)";
    let encoded: Vec<_> = chunks.iter().map(|records| encode(records)).collect();
    let mut connection = pool.acquire().await.unwrap();
    let began = Instant::now();
    for bytes in &encoded {
        let mut copying = connection.copy_in_raw(statement).await.unwrap();
        for piece in bytes.chunks(PIECE) {
            copying.send(piece).await.unwrap();
        }
        copying.finish().await.unwrap();
    }
    began.elapsed()
}

fn encode(records: &[std::sync::Arc<Record>]) -> Vec<u8> {
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for record in records {
        let draft = &record.draft;
        let at = (draft.sent_at_ms - 946_684_800_000) * 1000;
        out.extend(6_i16.to_be_bytes());
        let mut put = |bytes: &[u8]| {
            out.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
            out.extend(bytes);
        };
        put(&draft.room.get().to_be_bytes());
        put(&record.seq.get().to_be_bytes());
        put(&draft.kind.code().to_be_bytes());
        put(&draft.user.get().to_be_bytes());
        put(&at.to_be_bytes());
        put(&draft.body);
    }
    out.extend((-1_i16).to_be_bytes());
    out
}
