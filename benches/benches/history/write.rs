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

/// As the engine's default has it.
const BATCH: usize = 4_096;
const ROOMS: u64 = 200;

/// The message at `offset`, of some 140 bytes.
pub(crate) fn message(offset: u64) -> Record {
    let (room, user) = (1 + offset % ROOMS, 1 + offset % 10_007);
    let room: RoomId = i64::try_from(room).unwrap().try_into().unwrap();
    let user: UserId = i64::try_from(user).unwrap().try_into().unwrap();
    let client_id = format!("{offset:016x}");
    let text = "The quick brown fox jumps over the lazy dog.";
    let draft = Draft::message(room, user, Some((&*client_id).into()), None, text);
    Record { seq: EPOCH.seq(offset), draft }
}

pub(crate) async fn run(rows: u64) {
    let offsets: Vec<_> = (0..rows).collect();
    let chunks: Vec<Vec<_>> = offsets
        .chunks(BATCH)
        .map(|offsets| offsets.iter().map(|offset| Arc::new(message(*offset))).collect())
        .collect();
    let mut best: f64 = 0.0;
    // In turn, so that a machine that slows down slows all.
    for round in 1..=3 {
        let mut text = Duration::ZERO;
        testing::with_database(async |pool, _| {
            text = copy::text(pool, offsets.iter().map(|n| message(*n))).await;
        })
        .await;
        let mut binary = Duration::ZERO;
        testing::with_database(async |pool, _| binary = copy::binary(pool, &chunks).await).await;
        let mut engine = Duration::ZERO;
        testing::with_database(async |pool, _| engine = write(pool, &chunks).await).await;
        let rate = |took: Duration| offsets.len() as f64 / took.as_secs_f64();
        let copy_alone = rate(text).max(rate(binary));
        println!(
            "round {round}: COPY alone {:.0} rows/s (text, one statement) {:.0} (binary, as batches); \
             the engine's batches {:.0}: {:.2} of COPY alone",
            rate(text),
            rate(binary),
            rate(engine),
            rate(engine) / copy_alone,
        );
        best = best.max(copy_alone);
    }
    if std::env::var_os("MOYIZA_TEST_KAFKA_BROKERS").is_some() {
        let took = from_kafka(rows).await;
        let rate = offsets.len() as f64 / took.as_secs_f64();
        println!("from Kafka into PostgreSQL {rate:.0} rows/s: {:.2} of the best COPY alone", rate / best);
    }
}

async fn write(pool: &PgPool, chunks: &[Vec<Arc<Record>>]) -> Duration {
    copy::begin(pool, 0).await;
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
