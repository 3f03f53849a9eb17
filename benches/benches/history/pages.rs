//! Pages at any depth of a long history.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use chat_engine::{
    history::{Span, explain, page},
    record::Record,
};
use serde_json::Value;
use shared::{RoomId, Seq, testing};
use sqlx::PgPool;

use crate::{copy, copy::EPOCH, write::message};

type Place<'a> = (&'a str, Box<dyn FnMut() -> Vec<Span> + 'a>);

const SAMPLES: usize = 1_000;
const LIMIT: u16 = 50;

/// Three in ten rows are of room 1, three of rooms 2 to 11, the others of some thousands.
fn room_of(n: u64) -> RoomId {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let room = match mixed % 10 {
        0..3 => 1,
        3..6 => 2 + mixed / 10 % 10,
        _ => 12 + mixed / 10 % 5_000,
    };
    i64::try_from(room).unwrap().try_into().unwrap()
}

pub(crate) async fn run(rows: u64) {
    testing::with_database(async |pool, _| {
        copy::begin(pool, rows).await;
        let records = (0..rows).map(|n| {
            let Record { seq, mut draft } = message(n);
            draft.room = room_of(n);
            Record { seq, draft }
        });
        let took = copy::text(pool, records).await;
        println!("{rows} rows filled in {took:.0?}");
        for settle in ["vacuum analyze chat_messages", "checkpoint"] {
            sqlx::raw_sql(settle).execute(pool).await.unwrap();
        }
        index(pool, rows).await;
        for (room, name) in [(1, "3/10 of all rows"), (2, "3/100 of them"), (12, "8/100,000 of them")] {
            let room = RoomId::try_from(room).unwrap();
            let count: i64 =
                sqlx::query_scalar("select count(*) from chat_messages where room_id = $1 and kind < 3")
                    .bind(room)
                    .fetch_one(pool)
                    .await
                    .unwrap();
            println!("room {room} ({name}), {count} rows, pages of {LIMIT}:");
            measure(pool, rows, room).await;
        }
    })
    .await;
}

async fn measure(pool: &PgPool, rows: u64, room: RoomId) {
    let random = Cell::new(0x2545_f491_4f6c_dd1d_u64);
    let any = || {
        let mut next = random.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        random.set(next);
        EPOCH.seq(next % rows)
    };
    let end = EPOCH.seq(rows);
    let places: [Place<'_>; 7] = [
        ("last", Box::new(|| vec![Span::Before(end)])),
        ("first", Box::new(|| vec![Span::After(Seq::ZERO)])),
        ("middle", Box::new(|| vec![Span::Before(EPOCH.seq(rows / 2))])),
        ("before a random seq", Box::new(|| vec![Span::Before(any())])),
        ("after a random seq", Box::new(|| vec![Span::After(any())])),
        (
            "around a random seq",
            Box::new(|| {
                let at = any();
                vec![Span::Before(at), Span::After(at)]
            }),
        ),
        ("replay after a random seq", Box::new(|| vec![Span::After(any())])),
    ];
    for (name, mut spans) in places {
        let events = name.starts_with("replay");
        let mut times = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let spans = spans();
            let began = Instant::now();
            for span in spans {
                page(pool, EPOCH, 0, room, span, LIMIT, events).await.unwrap();
            }
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let plan = explain(pool, EPOCH, room, spans()[0], LIMIT, events).await.unwrap();
        let buffers = |key: &str| plan[0]["Plan"][key].as_u64().unwrap_or(0);
        let (hit, read) = (buffers("Shared Hit Blocks"), buffers("Shared Read Blocks"));
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "  {name:27} p50 {:6.2} ms  p99 {:6.2} ms  max {:6.2} ms   buffers {hit} hit, {read} read",
            ms(times[SAMPLES / 2]),
            ms(times[SAMPLES * 99 / 100]),
            ms(times[SAMPLES - 1]),
        );
        assert_ne!(plan, Value::Null);
    }
}

/// How deep the index is, and how deep it would be.
async fn index(pool: &PgPool, rows: u64) {
    let (pages, bytes): (i64, i64) = sqlx::query_as(
        "select relpages::bigint, pg_relation_size(oid) from pg_class where relname = 'chat_messages_shown_key'",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    let inspected = sqlx::raw_sql("create extension if not exists pageinspect").execute(pool).await.is_ok();
    let level: Option<i64> = if inspected {
        sqlx::query_scalar("select level from bt_metap('chat_messages_shown_key')").fetch_one(pool).await.ok()
    } else {
        None
    };
    let entries_a_page = rows as f64 / pages as f64;
    // Inner pages hold about as many: an entry has a block's number where a leaf's has a row's place.
    let levels = |rows: f64| (rows / entries_a_page).log(entries_a_page).ceil();
    println!(
        "index of pages: {:.0} MB, {entries_a_page:.0} entries a page, root at level {} above the leaves \
         (computed: {}); for 100,000,000 rows: {}",
        bytes as f64 / 1e6,
        level.map_or_else(|| "?".to_owned(), |level| level.to_string()),
        levels(rows as f64),
        levels(1e8),
    );
}
