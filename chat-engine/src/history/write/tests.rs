//! What is in the tables after batches of messages, edits and deletions, by both ways of writing.

use serde_json::{Value, json};
use shared::{RoomId, Seq, UserId, testing};

use super::*;
use crate::{
    history::{Span, next_offset, page},
    record::RecordKind,
};

const EPOCH: Epoch = Epoch { number: 1, partitions: 1 };

#[derive(Clone, Copy, Debug)]
enum Way {
    Statement,
    Copy,
}

struct Table<'a> {
    pool: &'a PgPool,
    way: Way,
}

async fn with_tables(test: impl AsyncFn(Table<'_>)) {
    for way in [Way::Statement, Way::Copy] {
        testing::with_database(async |pool, _| {
            sqlx::raw_sql(
                "insert into log_epochs (epoch, backend, partitions) values (1, 'kafka', 1); \
                 insert into log_progress (epoch, partition) values (1, 0);",
            )
            .execute(pool)
            .await
            .unwrap();
            test(Table { pool, way }).await;
        })
        .await;
    }
}

impl Table<'_> {
    async fn next(&self) -> u64 {
        next_offset(self.pool, EPOCH, 0).await.unwrap()
    }

    /// Writes what the log has from `from` on; whether it was taken.
    async fn write_from(&self, from: u64, drafts: &[Draft]) -> bool {
        let seqs = (from..).map(|offset| EPOCH.seq(offset));
        let records: Vec<_> =
            seqs.zip(drafts).map(|(seq, draft)| Arc::new(Record { seq, draft: draft.clone() })).collect();
        let to = from + drafts.len() as u64;
        let written = match self.way {
            Way::Statement => write(self.pool, EPOCH, 0, from, to, &records).await,
            Way::Copy => {
                let stretch = Stretch { epoch: EPOCH, partition: 0, from, to };
                write_many(self.pool, stretch, 0, &records).await
            }
        };
        written.unwrap()
    }

    /// Writes the next records.
    async fn write(&self, drafts: &[Draft]) {
        let from = self.next().await;
        assert!(self.write_from(from, drafts).await, "{:?}", self.way);
    }

    /// (offset, kind, content or what else the body is) of the room's rows.
    async fn read(&self, events: bool) -> Vec<(u64, RecordKind, Value)> {
        let span = Span::After(Seq::ZERO);
        let page = page(self.pool, EPOCH, 0, room(), span, 100, events).await.unwrap();
        let shown = |record: &Arc<Record>| {
            let body: Value = serde_json::from_slice(&record.draft.body).unwrap();
            let said = body.get("content").cloned().unwrap_or_else(|| json!({"deleted": body["deleted"]}));
            (record.seq.offset(), record.draft.kind, said)
        };
        page.records.iter().map(shown).collect()
    }

    async fn messages(&self) -> Vec<(u64, Value)> {
        self.read(false).await.into_iter().map(|(offset, _, said)| (offset, said)).collect()
    }

    /// Everything that any row of the table still holds.
    async fn every_body(&self) -> String {
        sqlx::query_scalar("select string_agg(body, ' ') from chat_messages")
            .fetch_one(self.pool)
            .await
            .unwrap()
    }
}

fn room() -> RoomId {
    1.try_into().unwrap()
}

fn anna() -> UserId {
    7.try_into().unwrap()
}

fn said(text: &str) -> Draft {
    Draft::message(room(), anna(), Some("c".into()), None, text)
}

fn edit(target: u64, text: &str) -> Draft {
    Draft::edited(room(), anna(), EPOCH.seq(target), None, text)
}

fn delete(target: u64) -> Draft {
    Draft::deleted(room(), anna(), EPOCH.seq(target), None)
}

#[tokio::test]
async fn a_batch_is_written_once() {
    with_tables(async |table| {
        assert!(table.write_from(0, &[said("a"), said("b")]).await);
        assert!(!table.write_from(0, &[said("a"), said("b")]).await, "{:?}", table.way);
        assert!(!table.write_from(1, &[said("b"), said("c")]).await, "{:?}", table.way);
        assert!(table.write_from(2, &[said("c")]).await);
        assert_eq!(table.messages().await, [(0, json!("a")), (1, json!("b")), (2, json!("c"))]);
        assert_eq!(table.next().await, 3);
    })
    .await;
}

#[tokio::test]
async fn rows_hold_what_records_say() {
    with_tables(async |table| {
        let draft = Draft { sent_at_ms: 1_795_300_000_123, ..said("글 \u{1f600} \" \\ \t") };
        let on_the_second = Draft { sent_at_ms: 1_795_300_000_000, ..said("정각") };
        table.write(&[draft.clone(), Draft::joined(room(), anna(), 5), on_the_second.clone()]).await;
        let page = page(table.pool, EPOCH, 0, room(), Span::After(Seq::ZERO), 9, true).await.unwrap();
        assert_eq!(page.records[2].draft, Draft { client_id: None, ..on_the_second });
        assert_eq!(page.records[0].draft, Draft { client_id: None, ..draft });
        assert_eq!((page.records[1].draft.kind, page.records[1].draft.user), (RecordKind::Joined, anna()));
        assert_eq!(page.stored, EPOCH.seq(3));
    })
    .await;
}

#[tokio::test]
async fn an_edit_changes_its_message_in_the_same_batch_and_in_a_later_one() {
    with_tables(async |table| {
        table.write(&[said("a"), said("b"), edit(0, "a2"), edit(0, "a3")]).await;
        assert_eq!(table.messages().await, [(0, json!("a3")), (1, json!("b"))]);
        table.write(&[edit(1, "b2"), edit(0, "a4"), edit(1, "b3")]).await;
        assert_eq!(table.messages().await, [(0, json!("a4")), (1, json!("b3"))]);
        let edits: Vec<_> = table.read(true).await.split_off(2);
        let expected = [(5, RecordKind::Edited, json!("a4")), (6, RecordKind::Edited, json!("b3"))];
        assert_eq!(edits, expected, "{:?}", table.way);
        let everything = table.every_body().await;
        assert!(!everything.contains("a2") && !everything.contains("a3") && !everything.contains("b2"));
        let body: String = sqlx::query_scalar("select body from chat_messages where seq = $1")
            .bind(EPOCH.seq(0))
            .fetch_one(table.pool)
            .await
            .unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["edited"].is_i64() && body["client-id"] == "c" && body["sender"] == 7, "{body}");
    })
    .await;
}

#[tokio::test]
async fn a_deletion_is_final_wherever_the_edit_comes() {
    with_tables(async |table| {
        table
            .write(&[
                said("secret a"),
                said("secret b"),
                edit(0, "secret a2"),
                delete(0),
                edit(0, "secret a3"),
            ])
            .await;
        table.write(&[edit(1, "secret b2")]).await;
        table.write(&[edit(1, "secret b3"), delete(1), edit(1, "secret b4")]).await;
        table.write(&[edit(0, "secret a5"), edit(1, "secret b5"), delete(1)]).await;
        let everything = table.every_body().await;
        assert!(!everything.contains("secret"), "{:?}: {everything}", table.way);
        let shown = table.read(true).await;
        let kinds: Vec<_> = shown.iter().map(|(offset, kind, _)| (*offset, *kind)).collect();
        assert_eq!(
            kinds,
            [
                (0, RecordKind::Message),
                (1, RecordKind::Message),
                (3, RecordKind::Deleted),
                (7, RecordKind::Deleted),
                (11, RecordKind::Deleted)
            ]
        );
        let (deleted, changed): (bool, Seq) =
            sqlx::query_as("select deleted, changed from chat_messages where seq = $1")
                .bind(EPOCH.seq(1))
                .fetch_one(table.pool)
                .await
                .unwrap();
        assert_eq!((deleted, changed), (true, EPOCH.seq(7)), "the first deletion counts");
    })
    .await;
}

/// A consumer that wrote a batch without hearing of it writes it again, when later edits are rows already.
#[tokio::test]
async fn an_old_batch_does_not_bring_back_an_old_edit() {
    with_tables(async |table| {
        table.write(&[said("a")]).await;
        let old = [edit(0, "a2")];
        table.write(&old).await;
        table.write(&[edit(0, "a3")]).await;
        assert!(!table.write_from(1, &old).await);
        assert_eq!(table.messages().await, [(0, json!("a3"))]);
        // Even if its offset were free: the row knows what it shows.
        sqlx::raw_sql("update log_progress set next_offset = 1; delete from chat_messages where kind = 3")
            .execute(table.pool)
            .await
            .unwrap();
        table.write(&old).await;
        assert_eq!(table.read(true).await, [(0, RecordKind::Message, json!("a3"))], "{:?}", table.way);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_nothing_is_a_row_and_no_more() {
    with_tables(async |table| {
        let other_room = Draft { room: 2.try_into().unwrap(), ..said("a") };
        table.write(&[other_room, Draft::joined(room(), anna(), 1)]).await;
        table.write(&[edit(0, "x"), delete(1), edit(50, "y"), said("\0 \u{1} \\u0000")]).await;
        let messages = table.read(false).await;
        assert_eq!(messages.len(), 2);
        assert_eq!(table.read(true).await.len(), 5, "{:?}", table.way);
        assert_eq!(messages[1].2, json!("\0 \u{1} \\u0000"), "a NUL stands in JSON as an escape");
        table.write(&[edit(5, "\0!")]).await;
        assert_eq!(table.messages().await[1], (5, json!("\0!")));
    })
    .await;
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_leaves_its_connection_in_order() {
    use std::{future::poll_fn, pin::pin, task::Poll};
    with_tables(async |table| {
        let options = (*table.pool.connect_options()).clone();
        let one =
            sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let only = Table { pool: &one, way: table.way };
        // Dropped after so many looks at it, each of them after an answer of the server.
        for looks in 1..24_u32 {
            let from = only.next().await;
            let drafts = [said("a"), edit(from, "b"), said("c")];
            let mut left = looks;
            {
                let mut writing = pin!(only.write_from(from, &drafts));
                poll_fn(|context| {
                    left -= 1;
                    if left == 0 { Poll::Ready(()) } else { writing.as_mut().poll(context).map(drop) }
                })
                .await;
            }
            let answer: i64 =
                sqlx::query_scalar("select $1::bigint").bind(i64::from(looks)).fetch_one(&one).await.unwrap();
            assert_eq!(answer, i64::from(looks), "dropped after {looks} looks");
        }
    })
    .await;
}

#[tokio::test]
async fn what_an_edit_is_known_by_outlives_what_it_said() {
    with_tables(async |table| {
        let named = |id: &str, text| Draft::edited(room(), anna(), EPOCH.seq(0), Some(id.into()), text);
        table.write(&[said("a"), named("x", "b"), edit(0, "c")]).await;
        table.write(&[named("y", "d")]).await;
        let rows: Vec<(Option<Vec<u8>>, String)> =
            sqlx::query_as("select repeat_key, body from chat_messages order by seq")
                .fetch_all(table.pool)
                .await
                .unwrap();
        let key = |id| Key::kept_beside(&named(id, "")).map(Vec::from);
        let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, [None, key("x"), None, key("y")], "{:?}", table.way);
        assert!(rows[1].1.is_empty() && key("x").is_some());
    })
    .await;
}

/// Whoever loads positions takes them for those of every row before the next offset.
#[tokio::test]
async fn no_row_is_there_before_its_senders_position() {
    testing::with_database(async |pool, _| {
        sqlx::raw_sql(
            "insert into log_epochs (epoch, backend, partitions) values (1, 'kafka', 1); \
             insert into log_progress (epoch, partition) values (1, 0); \
             insert into read_positions (room_id, user_id, seq) values (1, 7, 0);",
        )
        .execute(pool)
        .await
        .unwrap();
        let mut holding = pool.begin().await.unwrap();
        sqlx::query("select from read_positions for update").execute(&mut *holding).await.unwrap();
        // Two idle ones: for the rows, and for the positions beside them.
        drop((pool.acquire().await.unwrap(), pool.acquire().await.unwrap()));
        let record = Arc::new(Record { seq: EPOCH.seq(0), draft: said("hi") });
        let stretch = Stretch { epoch: EPOCH, partition: 0, from: 0, to: 1 };
        let writing = tokio::spawn({
            let pool = pool.clone();
            async move { write_many(&pool, stretch, 0, &[record]).await }
        });
        let next = async || next_offset(pool, EPOCH, 0).await.unwrap();
        let copied = "select exists (select from pg_stat_activity where datname = current_database() \
                      and state = 'idle in transaction' and query like 'copy %')";
        while next().await == 0 && !sqlx::query_scalar::<_, bool>(copied).fetch_one(pool).await.unwrap() {
            tokio::task::yield_now().await;
        }
        assert_eq!(next().await, 0);
        holding.commit().await.unwrap();
        assert!(writing.await.unwrap().unwrap());
        let position: Seq =
            sqlx::query_scalar("select seq from read_positions").fetch_one(pool).await.unwrap();
        assert_eq!((next().await, position), (1, EPOCH.seq(0)));
    })
    .await;
}
