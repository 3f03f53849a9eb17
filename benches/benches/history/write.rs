//! Rows a second.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chat_engine::{
    Backend,
    history::{Stretch, write_many},
    log::kafka::client_config,
    record::{Draft, Record},
};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use shared::{RoomId, UserId, names::Topics, testing};
use sqlx::PgPool;

use crate::{
    copy::{self, EPOCH},
    settings::settings,
};

const ROOMS: u64 = 200;
/// Members of a room, who all talk: each of 10,000 people is in one room.
const MEMBERS: u64 = 50;
const ROUNDS: usize = 5;

/// The message at `offset`, of some 140 bytes.
pub(crate) fn message(offset: u64) -> Record {
    let (room, member) = (1 + offset % ROOMS, offset / ROOMS % MEMBERS);
    let user = room * MEMBERS + member;
    let room: RoomId = i64::try_from(room).unwrap().try_into().unwrap();
    let user: UserId = i64::try_from(user).unwrap().try_into().unwrap();
    let client_id = format!("{offset:016x}");
    let text = "The quick brown fox jumps over the lazy dog.";
    let draft = Draft::message(room, user, Some((&*client_id).into()), None, text);
    Record { seq: EPOCH.seq(offset), draft }
}

/// The positions of all members, so that each batch moves those of whoever sent something.
async fn join_all(pool: &PgPool) {
    sqlx::query(
        "insert into read_positions (room_id, user_id, seq) \
         select room, room * $2 + member, 0 from generate_series(1, $1) as room, generate_series(0, $2 - 1) as member",
    )
    .bind(ROOMS.cast_signed())
    .bind(MEMBERS.cast_signed())
    .execute(pool)
    .await
    .unwrap();
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

pub(crate) async fn run(rows: u64) {
    let batch = usize::try_from(settings("", []).engine.history_batch).unwrap();
    let offsets: Vec<_> = (0..rows).collect();
    let chunks: Vec<Vec<_>> = offsets
        .chunks(batch)
        .map(|offsets| offsets.iter().map(|offset| Arc::new(message(*offset))).collect())
        .collect();
    println!("{rows} rows, batches of {batch}");
    let [mut texts, mut binaries, mut engines] = [const { Vec::new() }; 3];
    // In turn, so that a machine that slows down slows all.
    for _ in 0..ROUNDS {
        let rate = |took: Duration| rows as f64 / took.as_secs_f64();
        testing::with_database(async |pool, _| {
            texts.push(rate(copy::text(pool, offsets.iter().map(|n| message(*n))).await));
        })
        .await;
        testing::with_database(async |pool, _| binaries.push(rate(copy::binary(pool, &chunks).await))).await;
        testing::with_database(async |pool, _| engines.push(rate(write(pool, &chunks).await))).await;
        let (text, binary, engine) =
            (texts[texts.len() - 1], binaries[binaries.len() - 1], engines[engines.len() - 1]);
        println!(
            "COPY alone {text:.0} rows/s (text, one statement) {binary:.0} (binary, as batches); \
             the engine's batches {engine:.0}: {:.2} of COPY alone",
            engine / text.max(binary),
        );
    }
    let (text, binary, engine) = (median(texts), median(binaries), median(engines));
    let best = text.max(binary);
    println!(
        "medians: {text:.0} and {binary:.0}; {engine:.0}: {:.2} of the better COPY alone",
        engine / best
    );
    if std::env::var_os("MOYIZA_TEST_KAFKA_BROKERS").is_some() {
        let rate = rows as f64 / from_kafka(rows).await.as_secs_f64();
        println!("from Kafka into PostgreSQL {rate:.0} rows/s: {:.2} of the better COPY alone", rate / best);
    }
}

async fn write(pool: &PgPool, chunks: &[Vec<Arc<Record>>]) -> Duration {
    copy::begin(pool, 0).await;
    join_all(pool).await;
    // An engine's pool has more than one connection open.
    drop((pool.acquire().await.unwrap(), pool.acquire().await.unwrap()));
    let began = Instant::now();
    let mut from = 0;
    for records in chunks {
        let to = from + records.len() as u64;
        let stretch = Stretch { epoch: EPOCH, partition: 0, from, to };
        assert!(write_many(pool, stretch, from, records).await.unwrap());
        from = to;
    }
    began.elapsed()
}

/// Fills the log while no node runs, then starts one. From its first row to its last.
async fn from_kafka(rows: u64) -> Duration {
    let mut took = Duration::ZERO;
    testing::with_database(async |pool, _| {
        let prefix = testing::unique("bench") + ".";
        let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
        let backend = || {
            let redis_url = testing::server("MOYIZA_TEST_REDIS_URL");
            Backend::Cluster { brokers: brokers.clone(), redis_url }
        };
        let start =
            async || chat_engine::start(settings(&prefix, []), pool.clone(), backend()).await.unwrap();
        start().await.stop().await;
        join_all(pool).await;
        fill(&brokers, &Topics::new(&*prefix).chat_log(1), rows);
        let node = start().await;
        let stored = async || {
            let stored: i64 = sqlx::query_scalar("select sum(next_offset)::bigint from log_progress")
                .fetch_one(pool)
                .await
                .unwrap();
            stored.unsigned_abs()
        };
        while stored().await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (began, before) = (Instant::now(), stored().await);
        while stored().await < rows {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // As if all of them had come in that time.
        took = began.elapsed().mul_f64(rows as f64 / (rows - before).max(1) as f64);
        node.stop().await;
    })
    .await;
    took
}

fn fill(brokers: &str, topic: &str, rows: u64) {
    let producer: ThreadedProducer<DefaultProducerContext> = client_config(brokers)
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "10000000")
        .set("queue.buffering.max.kbytes", "2000000")
        .create()
        .unwrap();
    for offset in 0..rows {
        let Record { draft, .. } = message(offset);
        let partition = chat_engine::log::partition_of(draft.room, 2).into();
        let (key, user) = (draft.room.to_string(), draft.user.to_string());
        let headers = [("kind", "0"), ("user", &*user), ("client-id", draft.client_id.as_deref().unwrap())];
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let record =
            BaseRecord::to(topic).partition(partition).key(&key).payload(&draft.body[..]).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_mins(5)).unwrap();
}
