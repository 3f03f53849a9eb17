//! The log becomes rows, once each, whatever happens on the way.

mod positions;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chat_engine::{
    Backend, Running,
    history::{Stretch, write_many},
    log::{
        epoch::Epoch,
        kafka::{client_config, codec},
        partition_of,
    },
};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{RoomId, UserId, database, names::Topics, testing};

use crate::{
    client::PATIENCE,
    proxy::Proxy,
    settings::settings,
    world::{Backing, Person, World, metric, metric_becomes, with_world_as},
};

pub(crate) const EPOCH: Epoch = Epoch { number: 1, partitions: 2 };

/// Starts a node of the test's own.
pub(crate) async fn node(world: &World, arguments: &[&str], database_url: &str, redis_url: &str) -> Running {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let pool = database::connect(database_url, 8).await.unwrap();
    let settings = settings(world.prefix(), arguments.iter().copied());
    let backend = Backend::Cluster { brokers, redis_url: redis_url.to_owned() };
    chat_engine::start(settings, pool, backend).await.unwrap()
}

pub(crate) async fn plain_node(world: &World) -> Running {
    node(world, &[], world.database_url(), &testing::server("MOYIZA_TEST_REDIS_URL")).await
}

pub(crate) async fn stop(node: Running) {
    tokio::time::timeout(PATIENCE, node.stop()).await.expect("the node stops");
}

fn room_id(room: i64) -> RoomId {
    room.try_into().unwrap()
}

pub(crate) fn partition(room: i64) -> i32 {
    partition_of(room_id(room), EPOCH.partitions).into()
}

fn topics(world: &World) -> Topics {
    Topics::new(world.prefix())
}

/// Puts a message into the log as no node would; returns its offset.
pub(crate) async fn produce(world: &World, room: i64, headers: &[(&str, &str)], body: &[u8]) -> i64 {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let producer: FutureProducer = client_config(&brokers).set("linger.ms", "0").create().unwrap();
    let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    });
    let (topic, key) = (topics(world).chat_log(1), room.to_string());
    let record = FutureRecord::to(&topic).partition(partition(room)).key(&key).payload(body).headers(headers);
    producer.send(record, Timeout::After(PATIENCE)).await.unwrap().offset
}

/// A message of `user` with a client-id, as a node writes it.
pub(crate) async fn produce_message(
    world: &World,
    room: i64,
    user: UserId,
    client_id: &str,
    content: &str,
) -> i64 {
    let user = user.to_string();
    let body = serde_json::json!({"type": "message", "sender": 1, "at": 1, "content": content}).to_string();
    let headers = [("kind", "0"), ("user", &*user), ("client-id", client_id)];
    produce(world, room, &headers, body.as_bytes()).await
}

/// The first messages of a partition.
pub(crate) async fn messages<T>(
    topic: &str,
    partition: i32,
    count: usize,
    mut of: impl FnMut(&BorrowedMessage<'_>) -> T,
) -> Vec<T> {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let consumer: StreamConsumer =
        client_config(&brokers).set("group.id", "test").set("enable.auto.commit", "false").create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("a message in time");
        found.push(of(&message.unwrap()));
    }
    found
}

/// Posts `count` messages, many at a time: their seqs.
pub(crate) async fn post(node: &Running, room: i64, sender: &Person, count: usize) -> BTreeSet<i64> {
    let posts = (0..count).map(|n| {
        let content = n.to_string();
        async move { node.post(room_id(room), sender.id, &content).await.unwrap().get() }
    });
    futures_util::future::join_all(posts).await.into_iter().collect()
}

/// Waits until exactly these are the room's rows.
pub(crate) async fn expect_rows(world: &World, room: i64, expected: &BTreeSet<i64>) {
    let rows = world.rows_up_to(room, *expected.last().unwrap()).await;
    let seqs: Vec<_> = rows.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, expected.iter().copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn every_record_is_one_row_while_nodes_of_a_cluster_come_and_go() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let (people, rooms) = world.crowd(4, 4).await;
        let first = Arc::new(plain_node(world).await);
        let done = Arc::new(AtomicBool::new(false));
        let talk = |(person, room): (&Person, &i64)| {
            let (first, done, person, room) = (first.clone(), done.clone(), person.clone(), *room);
            tokio::spawn(async move {
                let mut seqs = BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    seqs.extend(post(&first, room, &person, 10).await);
                }
                seqs
            })
        };
        let talks: Vec<_> = people.iter().zip(&rooms).map(talk).collect();
        // A node that joins the group, writes and leaves it, twice.
        for _ in 0..2 {
            let second = plain_node(world).await;
            let rows = async || metric(second.addr(), "moyiza_history_rows_total").await;
            testing::becomes("the second node to get a partition", rows, |rows| *rows > 0).await;
            stop(second).await;
        }
        done.store(true, Ordering::Relaxed);
        for (talk, room) in talks.into_iter().zip(&rooms) {
            expect_rows(world, *room, &talk.await.unwrap()).await;
        }
        assert_eq!(metric(first.addr(), "moyiza_dead_letters_total").await, 0);
        assert_eq!(metric(first.addr(), "moyiza_history_missing_total").await, 0);
        stop(Arc::into_inner(first).expect("nobody talks any more")).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_last_node_of_a_cluster_took_is_history_when_it_has_stopped() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let redis = testing::server("MOYIZA_TEST_REDIS_URL");
        let node = node(world, &["--history-batch-ms", "5000"], world.database_url(), &redis).await;
        // Of a partition that has found its place.
        let rows = async || {
            let rows = sqlx::query_scalar::<_, i64>("select count(*) from chat_messages where room_id = $1");
            rows.bind(room).fetch_one(&world.pool).await.unwrap()
        };
        let first = post(&node, room, &anna, 1).await;
        world.rows_up_to(room, *first.last().unwrap()).await;
        post(&node, room, &anna, 20).await;
        assert_eq!(rows().await, 1, "they gather");
        stop(node).await;
        assert_eq!(rows().await, 21);
    })
    .await;
}

#[tokio::test]
async fn a_node_of_a_cluster_stops_although_nothing_can_be_history() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let node = plain_node(world).await;
        let first = post(&node, room, &anna, 1).await;
        world.rows_up_to(room, *first.last().unwrap()).await;
        let mut hold = world.pool.begin().await.unwrap();
        sqlx::query("select from log_progress for update").execute(&mut *hold).await.unwrap();
        post(&node, room, &anna, 1).await;
        stop(node).await;
        hold.rollback().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_somebody_else_of_the_cluster_wrote_is_left_out() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let (proxy, url) = Proxy::start(world.database_url()).await;
        let node = node(world, &[], &url, &testing::server("MOYIZA_TEST_REDIS_URL")).await;
        let mut seqs = post(&node, room, &anna, 3).await;
        expect_rows(world, room, &seqs).await;
        proxy.cut();
        seqs.extend(post(&node, room, &anna, 5).await);
        // The other writer takes the first two of what this one has in hand.
        let topic = topics(world).chat_log(1);
        let records =
            messages(&topic, partition(room), 5, |message| Arc::new(codec::decode(EPOCH, message).unwrap()))
                .await;
        let number = u16::try_from(partition(room)).unwrap();
        let stretch = Stretch { epoch: EPOCH, partition: number, from: 3, to: 5 };
        assert!(write_many(&world.pool, stretch, 0, &records[3..5]).await.unwrap());
        assert!(!write_many(&world.pool, stretch, 0, &records[3..5]).await.unwrap(), "a zombie's");
        proxy.heal();
        expect_rows(world, room, &seqs).await;
        seqs.extend(post(&node, room, &anna, 3).await);
        expect_rows(world, room, &seqs).await;
        assert_eq!(metric(node.addr(), "moyiza_dead_letters_total").await, 0);
        stop(node).await;
    })
    .await;
}

#[tokio::test]
async fn a_repeat_is_no_row_of_a_cluster_whoever_reads_it() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let first = plain_node(world).await;
        let mut seqs = BTreeSet::new();
        let seq = |offset: i64| EPOCH.seq(offset.unsigned_abs()).get();
        seqs.insert(seq(produce_message(world, room, anna.id, "a", "once").await));
        produce_message(world, room, anna.id, "a", "once").await;
        seqs.insert(seq(produce_message(world, room, anna.id, "b", "other").await));
        expect_rows(world, room, &seqs).await;
        stop(first).await;
        produce_message(world, room, anna.id, "a", "once").await;
        seqs.insert(seq(produce_message(world, room, bo.id, "a", "somebody else's").await));
        let second = plain_node(world).await;
        expect_rows(world, room, &seqs).await;
        produce_message(world, room, anna.id, "b", "other").await;
        seqs.insert(seq(produce_message(world, room, anna.id, "c", "last").await));
        expect_rows(world, room, &seqs).await;
        stop(second).await;
    })
    .await;
}

#[tokio::test]
async fn poison_in_the_log_of_a_cluster_is_a_dead_letter_and_the_rest_are_rows() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        world.refuse_some_rows().await;
        let node = plain_node(world).await;
        let mut seqs = post(&node, room, &anna, 20).await;
        let mut offsets = Vec::new();
        offsets.push(produce(world, room, &[("stray", "yes")], b"{}").await);
        seqs.extend(post(&node, room, &anna, 20).await);
        offsets.push(produce(world, room, &[("kind", "0"), ("user", "1")], b"{\"content\":\"\0\"}").await);
        offsets.push(produce_message(world, room, anna.id, "x", "refuse me").await);
        seqs.extend(post(&node, room, &anna, 20).await);
        offsets.push(produce(world, room, &[("kind", "0"), ("user", "1")], b"\xff").await);
        // As long as the brokers take it: with its label it is longer.
        let long = vec![b'x'; 999_900];
        offsets.push(produce(world, room, &[("user", "1")], &long).await);
        seqs.extend(post(&node, room, &anna, 20).await);
        expect_rows(world, room, &seqs).await;
        metric_becomes(node.addr(), "moyiza_dead_letters_total", 5).await;
        let header = |message: &BorrowedMessage<'_>, name: &str| {
            let headers = message.headers().unwrap();
            let found = headers.iter().find(|header| header.key == name);
            found.map(|header| String::from_utf8(header.value.unwrap().to_vec()).unwrap())
        };
        let mut letters = messages(&topics(world).dead_letter(), 0, 5, |message| {
            assert_eq!(message.key().unwrap(), room.to_string().as_bytes());
            assert_eq!(header(message, "dead-letter-topic").unwrap(), topics(world).chat_log(1));
            assert_eq!(header(message, "dead-letter-partition").unwrap(), partition(room).to_string());
            (
                header(message, "dead-letter-offset").unwrap().parse::<i64>().unwrap(),
                message.payload().unwrap().to_vec(),
                header(message, "dead-letter-reason").unwrap(),
                header(message, "stray").or_else(|| header(message, "user")).unwrap(),
            )
        })
        .await;
        letters.sort();
        let found: Vec<_> = letters.iter().map(|(offset, ..)| *offset).collect();
        assert_eq!(found, offsets);
        assert_eq!((&*letters[0].1, &*letters[0].3), (&b"{}"[..], "yes"));
        assert!(letters[1].2.contains("NUL"), "{letters:?}");
        assert!(letters[2].2.contains("check constraint"), "{letters:?}");
        assert_eq!(letters[2].3, anna.id.to_string());
        assert_eq!(&*letters[3].1, b"\xff");
        assert_eq!((letters[4].1.len(), letters[4].1.first()), (65_536, Some(&b'x')));
        stop(node).await;
    })
    .await;
}

#[tokio::test]
async fn rows_of_a_cluster_come_when_postgres_is_back_and_memory_is_bounded() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let (people, rooms) = world.crowd(2, 2).await;
        let (proxy, url) = Proxy::start(world.database_url()).await;
        let redis = testing::server("MOYIZA_TEST_REDIS_URL");
        let node = node(world, &["--history-batch", "50"], &url, &redis).await;
        let mut seqs = Vec::new();
        for (person, room) in people.iter().zip(&rooms) {
            seqs.push(post(&node, *room, person, 10).await);
        }
        for (room, seqs) in rooms.iter().zip(&seqs) {
            expect_rows(world, *room, seqs).await;
        }
        proxy.cut();
        for ((person, room), seqs) in people.iter().zip(&rooms).zip(&mut seqs) {
            seqs.extend(post(&node, *room, person, 1_000).await);
        }
        let lag = async || {
            let partitions = [0, 1].map(|n| format!("moyiza_history_lag_records{{partition=\"{n}\"}}"));
            let mut lag = 0;
            for name in &partitions {
                lag += metric(node.addr(), name).await;
            }
            lag
        };
        testing::becomes("the lag to show", lag, |lag| *lag >= 2_000).await;
        // A batch for each partition is being written, another gathered.
        let gathered = metric(node.addr(), "moyiza_history_gathered_records").await;
        assert!(gathered <= 100, "{gathered} records are kept in memory");
        proxy.heal();
        for (room, seqs) in rooms.iter().zip(&seqs) {
            expect_rows(world, *room, seqs).await;
        }
        stop(node).await;
    })
    .await;
}
