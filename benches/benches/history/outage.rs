//! The database is away while everybody talks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chat_engine::Backend;
use shared::{RoomId, database, testing};

use crate::{proxy::Proxy, settings::settings};

/// Messages go on for so long before the outage and at most so long after it.
const BEFORE: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_mins(5);
const ROOMS: i64 = 50;

pub(crate) async fn run(rate: u32, seconds: u64) {
    testing::with_database(async |pool, url| {
        let prefix = testing::unique("bench") + ".";
        let backend = Backend::Cluster {
            brokers: testing::server("MOYIZA_TEST_KAFKA_BROKERS"),
            redis_url: testing::server("MOYIZA_TEST_REDIS_URL"),
        };
        let (proxy, through) = Proxy::start(url).await;
        let way = database::connect(&through, 8).await.unwrap();
        let node = Arc::new(chat_engine::start(settings(&prefix, []), way, backend).await.unwrap());
        let posted = Arc::new(AtomicU64::new(0));
        let talk = tokio::spawn(talk(node.clone(), posted.clone(), rate));
        let lag = async || {
            let stored: i64 = sqlx::query_scalar("select sum(next_offset)::bigint from log_progress")
                .fetch_one(pool)
                .await
                .unwrap();
            posted.load(Ordering::Relaxed).saturating_sub(stored.unsigned_abs())
        };
        tokio::time::sleep(BEFORE).await;
        let usual = lag().await;
        proxy.cut();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let worst = lag().await;
        proxy.heal();
        let healed = Instant::now();
        let mut first = None;
        // Gone: as far behind as before, with messages still coming.
        while lag().await > usual.max(u64::from(rate) / 2) {
            if first.is_none() && lag().await < worst {
                first = Some(healed.elapsed());
            }
            assert!(healed.elapsed() < AFTER, "{} records behind", lag().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!(
            "{rate} messages/s, database away for {seconds} s: {usual} records behind before, {worst} at its end; \
             writing again after {:.1?}, caught up after {:.1?}",
            first.unwrap_or_default(),
            healed.elapsed(),
        );
        talk.abort();
        let _ = talk.await;
        if let Some(node) = Arc::into_inner(node) {
            node.stop().await;
        }
    })
    .await;
}

/// Posts at that rate, for ever.
async fn talk(node: Arc<chat_engine::Running>, posted: Arc<AtomicU64>, rate: u32) {
    const TICK: Duration = Duration::from_millis(10);
    let mut every = tokio::time::interval(TICK);
    let mut posts = tokio::task::JoinSet::new();
    let mut due = 0.0;
    loop {
        every.tick().await;
        due += f64::from(rate) * TICK.as_secs_f64();
        while due >= 1.0 {
            due -= 1.0;
            let (node, posted) = (node.clone(), posted.clone());
            posts.spawn(async move {
                let n = posted.load(Ordering::Relaxed).cast_signed();
                let room = RoomId::try_from(1 + n % ROOMS).unwrap();
                if node
                    .post(room, 1.try_into().unwrap(), "The quick brown fox jumps over the lazy dog.")
                    .await
                    .is_ok()
                {
                    posted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while posts.try_join_next().is_some() {}
    }
}
