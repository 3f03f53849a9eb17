//! PostgreSQL is away for longer than anybody remembers what was sent.
//!
//! Nobody waits for that long here: the brokers are told to take the senders' word for the time.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

use chat_engine::log::{kafka::client_config, repeats::WINDOW_MS};
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{names::Topics, testing};

use crate::{
    client::PATIENCE,
    history::{EPOCH, expect_rows, node, partition, plain_node, stop},
    proxy::Proxy,
    world::{Backing, World, metric, with_world_as},
};

/// Puts records into the log that have come when it is said.
pub(crate) struct Producer<'a> {
    world: &'a World,
    inner: FutureProducer,
    topic: String,
}

/// A time, in milliseconds since 1970.
pub(crate) fn ago(time: Duration) -> i64 {
    let time = SystemTime::now() - time;
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

impl<'a> Producer<'a> {
    /// A node runs: when one starts, the brokers stamp their own time again.
    pub(crate) async fn start(world: &'a World) -> Self {
        let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
        let topic = Topics::new(world.prefix()).chat_log(1);
        let admin: AdminClient<DefaultClientContext> = client_config(&brokers).create().unwrap();
        let setting =
            AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("message.timestamp.type", "CreateTime");
        admin.alter_configs(&[setting], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        let inner = client_config(&brokers).set("linger.ms", "0").create().unwrap();
        let producer = Self { world, inner, topic };
        for partition in 0..EPOCH.partitions {
            let look = async || producer.probe(partition.into()).await;
            testing::becomes("the brokers to take up a setting", look, |time| *time == Some(1)).await;
        }
        producer
    }

    /// Appends what every reader leaves out, and says what time it got.
    async fn probe(&self, partition: i32) -> Option<i64> {
        let probe = FutureRecord::<(), _>::to(&self.topic).payload("is this topic closed?");
        let probe = probe.partition(partition).timestamp(1);
        self.inner.send(probe, Timeout::After(PATIENCE)).await.unwrap().timestamp.to_millis()
    }

    /// Appends a record of a room; returns its seq.
    pub(crate) async fn append(&self, room: i64, headers: &[(&str, &str)], body: &str, time: i64) -> i64 {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let key = room.to_string();
        let record = FutureRecord::to(&self.topic).key(&key).payload(body).headers(headers);
        let record = record.partition(partition(room)).timestamp(time);
        let delivery = self.inner.send(record, Timeout::After(PATIENCE)).await.unwrap();
        EPOCH.seq(delivery.offset.unsigned_abs()).get()
    }

    /// To nodes that the test has started itself.
    pub(crate) async fn deliver(&self, envelope: shared::event::Envelope) {
        self.world.deliver_by(&self.inner, envelope).await;
    }
}

/// What is sent over and over, and what of it is to be seen.
#[derive(Default)]
struct Traffic {
    last: HashMap<usize, i64>,
    seen: BTreeSet<i64>,
}

impl Traffic {
    /// Sends the numbers, one every 12 seconds, each once more after five minutes, after 14 and after 26: the first two of
    /// these are repeats, for the second came nine minutes after one; the last is none.
    async fn send(&mut self, producer: &Producer<'_>, room: i64, numbers: std::ops::Range<usize>) {
        let start = ago(Duration::from_mins(90));
        for n in numbers {
            let time = start + i64::try_from(n).unwrap() * 12_000;
            for back in [0, 25, 70, 130] {
                let Some(id) = n.checked_sub(back) else { continue };
                let client_id = id.to_string();
                let headers = [("kind", "0"), ("user", "1"), ("client-id", &*client_id)];
                let body = serde_json::json!({"type": "message", "sender": 1, "at": 1, "content": client_id});
                let seq = producer.append(room, &headers, &body.to_string(), time).await;
                if self.last.insert(id, time).is_none_or(|last| time - last >= WINDOW_MS) {
                    self.seen.insert(seq);
                }
            }
        }
    }
}

#[tokio::test]
async fn however_long_postgres_is_away_rows_of_a_cluster_are_whole_and_single() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let (proxy, url) = Proxy::start(world.database_url()).await;
        let redis = testing::server("MOYIZA_TEST_REDIS_URL");
        let first = node(world, &["--history-batch", "10"], &url, &redis).await;
        let producer = Producer::start(world).await;
        let mut traffic = Traffic::default();
        traffic.send(&producer, room, 0..60).await;
        expect_rows(world, room, &traffic.seen).await;
        proxy.cut();
        // For 18 minutes of the log.
        traffic.send(&producer, room, 60..150).await;
        proxy.heal();
        expect_rows(world, room, &traffic.seen).await;
        stop(first).await;
        // For 18 more there is nobody.
        traffic.send(&producer, room, 150..240).await;
        let second = plain_node(world).await;
        expect_rows(world, room, &traffic.seen).await;
        assert_eq!(traffic.seen.len(), 240 + 110, "of what was sent, what is no repeat");
        assert_eq!(metric(second.addr(), "moyiza_history_missing_total").await, 0);
        stop(second).await;
    })
    .await;
}
