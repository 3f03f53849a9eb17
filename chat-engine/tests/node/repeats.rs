//! What is sent again under the same client-id is one message: shown, stored and counted once, with the first seq.

use chat_engine::log::{
    Log,
    epoch::Epoch,
    kafka::{KafkaLog, Pace, client_config, ensure},
    partition_of,
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{RoomId, Seq, UserId, event::MeetupEvent, names::Topics, testing};
use stomp::{Command, Frame};

use crate::{
    client::{Client, PATIENCE},
    durable::wait_for_a_blocked_commit,
    world::{Backing, Person, World, on_both_backends, with_world_as},
};

async fn a_repeat_has_the_first_ones_seq_and_is_one_message(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let first = a.post_as(room, "x", "하나").await;
    for _ in 0..3 {
        assert_eq!(a.post_as(room, "x", "하나").await, first);
    }
    let last = a.post_as(room, "y", "둘").await;
    a.expect_only(&[(first, "하나"), (last, "둘")]).await;
    assert_eq!(a.counts()[&first], 1, "Bo has not read it");
    expect_rows(world, room, &[(first, "하나"), (last, "둘")]).await;
}

async fn another_node_knows_it_too(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut follower = world.connect_to(&bo, room).await;
    let mut addrs = world.addrs();
    let mut expected = Vec::new();
    for id in ["a", "b", "c", "d"] {
        // At once: the other node may not have seen it yet.
        let mut here = Client::connect(addrs.next().unwrap(), &anna.token).await;
        let mut there = Client::connect(addrs.next().unwrap(), &anna.token).await;
        let first = here.post_as(room, id, id).await;
        assert_eq!(there.post_as(room, id, id).await, first);
        expected.push((first, id));
    }
    let mut client = world.connect(&anna).await;
    expected.push((client.post_as(room, "z", "끝").await, "끝"));
    follower.expect_only(&expected).await;
    expect_rows(world, room, &expected).await;
}

async fn nodes_that_start_know_what_was_before(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect(&anna).await;
    let first = a.post_as(room, "x\n\"y\"", "하나").await;
    a.disconnect().await;
    // It is history by then, so that nobody has to be shown it again.
    world.rows(room, 1).await;
    world.restart().await;
    let mut a = world.connect_to(&anna, room).await;
    assert_eq!(a.post_as(room, "x\n\"y\"", "하나").await, first);
    let last = a.post_as(room, "y", "둘").await;
    a.expect_only(&[(last, "둘")]).await;
    expect_rows(world, room, &[(first, "하나"), (last, "둘")]).await;
}

async fn what_is_on_its_way_twice_is_one(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    for receipt in ["1", "2", "3", "4"] {
        a.post_as_only(room, "x", "하나", receipt).await;
    }
    let mut seqs = Vec::new();
    for receipt in ["1", "2", "3", "4"] {
        seqs.push(seq_of(&a.expect_receipt(receipt).await));
    }
    assert!(seqs.iter().all(|seq| *seq == seqs[0]), "{seqs:?}");
    let last = a.post_as(room, "y", "둘").await;
    a.expect_only(&[(seqs[0], "하나"), (last, "둘")]).await;
    expect_rows(world, room, &[(seqs[0], "하나"), (last, "둘")]).await;
}

async fn another_sender_or_another_room_is_something_else(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let (room, other) = (world.room(&[&anna, &bo]).await, world.room(&[&anna]).await);
    let (mut a, mut b) = (world.connect_to(&anna, room).await, world.connect(&bo).await);
    let of_anna = a.post_as(room, "x", "안나").await;
    let of_bo = b.post_as(room, "x", "보").await;
    assert_ne!(of_anna, of_bo);
    a.expect_only(&[(of_anna, "안나"), (of_bo, "보")]).await;
    let elsewhere = a.post_as(other, "x", "저기").await;
    expect_rows(world, other, &[(elsewhere, "저기")]).await;
    // And without a client-id nothing is a repeat.
    let (one, two) = (a.post(room, "또").await, a.post(room, "또").await);
    assert_ne!(one, two);
}

async fn an_event_that_is_delivered_again_is_recorded_once(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    world.join(room, &bo).await;
    let joined = || MeetupEvent::MemberJoined { meetup: room.try_into().unwrap(), user: bo.id, version: 1 };
    world.tell_again(joined()).await;
    world.restart().await;
    world.tell_again(joined()).await;
    world.leave(room, &bo).await;
    assert_eq!(system_rows(world, room).await, [1, 2]);
}

on_both_backends!(
    a_repeat_has_the_first_ones_seq_and_is_one_message,
    another_node_knows_it_too,
    nodes_that_start_know_what_was_before,
    what_is_on_its_way_twice_is_one,
    another_sender_or_another_room_is_something_else,
    an_event_that_is_delivered_again_is_recorded_once,
);

/// Kinds of the joinings and leavings of a room, once there is a leaving.
async fn system_rows(world: &World, room: i64) -> Vec<i16> {
    let query = "select kind from chat_messages where room_id = $1 order by seq";
    let look =
        async || -> Vec<i16> { sqlx::query_scalar(query).bind(room).fetch_all(&world.pool).await.unwrap() };
    testing::becomes("the row of a leaving", look, |kinds| kinds.contains(&2)).await
}

#[tokio::test]
async fn after_ten_minutes_an_embedded_log_takes_it_as_new() {
    with_world_as(Backing::Embedded, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = world.connect(&anna).await;
        let first = a.post_as(room, "x", "하나").await;
        a.disconnect().await;
        for (minutes, is_repeat) in [(9, true), (10, false)] {
            world.stop().await;
            sqlx::query("update chat_messages set sent_at = now() - $1 * interval '1 minute'")
                .bind(f64::from(minutes))
                .execute(&world.pool)
                .await
                .unwrap();
            world.restart().await;
            let mut a = world.connect(&anna).await;
            assert_eq!(a.post_as(room, "x", "하나").await == first, is_repeat, "after {minutes} minutes");
            a.disconnect().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_embedded_attempt_nobody_knows_the_outcome_of_and_its_repeat_are_one() {
    with_world_as(Backing::Embedded, &["--log-timeout-ms", "300"], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut hold = world.pool.begin().await.unwrap();
        sqlx::query("select from log_progress for update").execute(&mut *hold).await.unwrap();
        // The second waits behind the first's transaction, and is told in time too.
        for id in ["x", "y"] {
            let mut client = world.connect(&anna).await;
            client.post_as_only(room, id, "하나", id).await;
            wait_for_a_blocked_commit(world).await;
            let (title, text) = client.expect_only_error().await;
            assert!(text.contains("client-id"), "{title}: {text}");
        }
        hold.rollback().await.unwrap();
        let mut again = world.connect(&anna).await;
        let first = again.post_as(room, "x", "하나").await;
        let second = again.post_as(room, "y", "둘").await;
        a.expect_only(&[(first, "하나"), (second, "둘")]).await;
        expect_rows(world, room, &[(first, "하나"), (second, "둘")]).await;
    })
    .await;
}

#[tokio::test]
async fn of_two_nodes_that_append_the_same_to_a_cluster_the_later_is_seen_by_nobody() {
    with_world_as(Backing::Cluster, &[], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let (mut a, mut b) = (world.connect_to(&anna, room).await, world.connect_to(&bo, room).await);
        // What a third node would have appended without knowing of the other: its record is the earlier one…
        let first = append(world, &anna, room, "x", "먼저").await;
        assert_eq!(a.post_as(room, "x", "나중").await, first);
        // … or the later.
        let second = a.post_as(room, "y", "먼저").await;
        assert_ne!(append(world, &anna, room, "y", "나중").await, second);
        assert_eq!(b.post_as(room, "y", "보의 것").await, second + 2, "Bo's is another");
        let mut again = Client::connect(world.addr_for(&bo), &anna.token).await;
        assert_eq!(again.post_as(room, "y", "나중").await, second);
        let expected = [(first, "먼저"), (second, "먼저"), (second + 2, "보의 것")];
        a.expect_only(&expected).await;
        b.expect_only(&expected).await;
        expect_rows(world, room, &expected).await;
        // And a node that starts sees neither.
        again.disconnect().await;
        world.restart().await;
        let mut c = world.connect(&anna).await;
        c.follow_with_history(room, 50).await;
        assert_eq!(c.post_as(room, "y", "나중").await, second);
        let last = c.post_as(room, "z", "끝").await;
        c.expect_only(&[expected.as_slice(), &[(last, "끝")]].concat()).await;
    })
    .await;
}

#[tokio::test]
async fn a_stretch_of_a_cluster_s_log_has_every_record_once() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let (room, other) = (world.room(&[&anna]).await, world.room(&[&anna]).await);
        let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
        let (topics, epoch) = (Topics::new(world.prefix()), Epoch { number: 1, partitions: 2 });
        ensure(&brokers, &topics, epoch).await.unwrap();
        let pace = Pace { linger_ms: 0, timeout_ms: 10_000 };
        let log =
            Log::Kafka(KafkaLog::new(&brokers, &topics, epoch, pace, std::sync::Arc::default()).unwrap());
        let mut seqs = Vec::new();
        for (room, id) in [(room, "a"), (room, "b"), (other, "a"), (room, "a"), (room, "c"), (room, "b")] {
            seqs.push(Seq::from_raw(append(world, &anna, room, id, id).await).unwrap());
        }
        let read = async |from: Seq, to: Seq| -> Vec<Seq> {
            let records = log.stretch(RoomId::try_from(room).unwrap(), from, to).await.unwrap();
            records.iter().map(|record| record.seq).collect()
        };
        let end = Seq::new(1, 1000);
        assert_eq!(read(Seq::ZERO, end).await, [seqs[0], seqs[1], seqs[4]]);
        assert_eq!(read(seqs[1], seqs[4]).await, [seqs[1]]);
        // What it repeats is before the stretch.
        assert_eq!(read(seqs[3], end).await, [seqs[4]]);
        assert_eq!(read(end, Seq::new(2, 0)).await, []);
        assert_eq!(read(Seq::new(2, 0), Seq::new(2, 5)).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_topic_of_a_cluster_without_the_brokers_time_gets_it_and_keeps_the_rest() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
        let (topics, epoch) = (Topics::new(world.prefix()), Epoch { number: 1, partitions: 2 });
        let (name, options) = (topics.chat_log(1), AdminOptions::new());
        let admin: AdminClient<DefaultClientContext> = client_config(&brokers).create().unwrap();
        let old = NewTopic::new(&name, 2, TopicReplication::Fixed(1)).set("retention.ms", "12345678");
        admin.create_topics(&[old], &options).await.unwrap();
        ensure(&brokers, &topics, epoch).await.unwrap();
        let described = admin.describe_configs(&[ResourceSpecifier::Topic(&name)], &options).await.unwrap();
        let described = described.into_iter().next().unwrap().unwrap();
        let value = |name| described.get(name).unwrap().value.clone().unwrap();
        assert_eq!(value("message.timestamp.type"), "LogAppendTime");
        assert_eq!(value("retention.ms"), "12345678");
    })
    .await;
}

/// Whether it is a repeat stands in what such a node has not read yet: the row alone would say "message deleted".
#[tokio::test]
async fn a_node_that_is_catching_up_judges_no_change() {
    with_world_as(Backing::Cluster, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        // The more to read, the longer it catches up.
        append_many(world, &anna, room, 20_000).await;
        let mut a = world.connect(&anna).await;
        let seq = a.post(room, "비밀").await;
        let deletion = a.change_as("delete", room, seq, "", Some("d1")).await.unwrap();
        world.rows_where(room, "kind = 4", 1).await;
        world.restart_only().await;
        loop {
            let mut a = world.connect(&anna).await;
            a.send(Command::Subscribe, &[("id", "errors"), ("destination", "/user/queue/errors")], "").await;
            match a.change_as("delete", room, seq, "", Some("d1")).await {
                Ok(repeated) => break assert_eq!(repeated, deletion),
                Err(refused) => assert_eq!(refused, "try again"),
            }
        }
    })
    .await;
}

/// So many messages, past every node.
async fn append_many(world: &World, sender: &Person, room: i64, count: usize) {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let producer: FutureProducer = client_config(&brokers).create().unwrap();
    let (topic, key, user) =
        (Topics::new(world.prefix()).chat_log(1), room.to_string(), sender.id.to_string());
    let body = format!(r#"{{"type":"message","sender":{user},"at":1,"content":"x"}}"#);
    let partition = partition_of(room.try_into().unwrap(), 2).into();
    let send = |_| {
        let headers = [("kind", "0"), ("user", &*user)]
            .into_iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        let record = FutureRecord::to(&topic).key(&key).payload(&body).headers(headers).partition(partition);
        producer.send_result(record).map_err(|(error, _)| error).unwrap()
    };
    let deliveries: Vec<_> = (0..count).map(send).collect();
    for delivery in deliveries {
        delivery.await.unwrap().unwrap();
    }
}

/// Appends what a node would append, past every node: its seq.
pub(crate) async fn append(world: &World, sender: &Person, room: i64, id: &str, content: &str) -> i64 {
    let user: UserId = sender.id;
    let body = serde_json::json!({
        "type": "message", "sender": user.get(), "at": 1, "client-id": id, "content": content,
    });
    let headers = [("kind", "0"), ("user", &*user.to_string()), ("client-id", id)];
    append_record(world, room, &headers, &body.to_string()).await
}

/// The same for any record.
pub(crate) async fn append_record(world: &World, room: i64, headers: &[(&str, &str)], body: &str) -> i64 {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let producer: FutureProducer = client_config(&brokers).set("linger.ms", "0").create().unwrap();
    let (topic, key) = (Topics::new(world.prefix()).chat_log(1), room.to_string());
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
    let record = FutureRecord::to(&topic)
        .key(&key)
        .payload(body)
        .headers(headers)
        .partition(partition_of(room.try_into().unwrap(), 2).into());
    let delivered = producer.send(record, Timeout::After(PATIENCE)).await.unwrap();
    Seq::new(1, delivered.offset.unsigned_abs()).get()
}

/// Expects these rows of the room, once the last of them is there.
pub(crate) async fn expect_rows(world: &World, room: i64, expected: &[(i64, &str)]) {
    let rows = world.rows_up_to(room, expected.last().unwrap().0).await;
    assert_eq!(rows, expected.iter().map(|(seq, content)| (*seq, (*content).to_owned())).collect::<Vec<_>>());
}

pub(crate) fn seq_of(receipt: &Frame) -> i64 {
    receipt.headers.first("seq").expect("a SEND's receipt has a seq").parse().unwrap()
}

impl Client {
    /// Posts under a client-id and waits for the receipt: its seq.
    pub(crate) async fn post_as(&mut self, room: i64, id: &str, content: &str) -> i64 {
        self.post_as_only(room, id, content, "post-as").await;
        seq_of(&self.expect_receipt("post-as").await)
    }

    /// Posts under a client-id and a receipt that somebody else waits for.
    pub(crate) async fn post_as_only(&mut self, room: i64, id: &str, content: &str, receipt: &str) {
        let destination = format!("/app/chat/{room}");
        let body = serde_json::json!({ "content": content }).to_string();
        let headers = [("destination", &*destination), ("client-id", id), ("receipt", receipt)];
        self.send(Command::Send, &headers, &body).await;
    }

    /// Expects to be shown exactly these, up to the last.
    async fn expect_only(&mut self, expected: &[(i64, &str)]) {
        let mut shown = Vec::new();
        while shown.last().is_none_or(|(seq, _)| *seq < expected.last().unwrap().0) {
            let message = self.expect_shown().await;
            shown.push((message.seq, message.content));
        }
        assert_eq!(
            shown,
            expected.iter().map(|(seq, content)| (*seq, (*content).to_owned())).collect::<Vec<_>>()
        );
    }
}
