//! A room shows each joining and leaving once, however late its event comes again.

use std::time::{Duration, SystemTime};

use chat_engine::log::{kafka::client_config, partition_of};
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{
    RoomId,
    event::{Envelope, LeaveReason, MeetupEvent},
    names::Topics,
    testing,
};
use sqlx::{Postgres, Transaction};

use crate::{
    client::PATIENCE,
    history::{plain_node, post, stop},
    world::{Backing, Person, World, meetup, on_both_backends, with_world_as},
};

on_both_backends!(
    an_event_that_a_room_has_shown_long_ago_is_not_shown_again,
    quick_changes_of_one_membership_are_all_shown
);

const PARTITIONS: u16 = 2;

/// Longer than any reader of the log remembers.
const LONG_AGO: Duration = Duration::from_mins(11);

fn joined(room: i64, person: &Person, id: i64) -> Envelope {
    Envelope { id, event: MeetupEvent::MemberJoined { meetup: meetup(room), user: person.id, version: 1 } }
}

fn left(room: i64, person: &Person, id: i64) -> Envelope {
    let (meetup, reason) = (meetup(room), LeaveReason::Left);
    Envelope { id, event: MeetupEvent::MemberLeft { meetup, user: person.id, version: 1, reason } }
}

/// As a node writes it.
fn body(kind: &str, person: &Person, id: i64) -> String {
    serde_json::json!({"type": kind, "user": person.id, "at": 1, "client-id": format!("event-{id}")})
        .to_string()
}

/// The kinds of the rows that tell of a person, once there are so many or more.
async fn shown(world: &World, room: i64, person: &Person, count: usize) -> Vec<i16> {
    let shown = async {
        loop {
            let kinds: Vec<i16> = sqlx::query_scalar(
                "select kind from chat_messages where room_id = $1 and sender_id = $2 and kind in (1, 2) order by seq",
            )
            .bind(room)
            .bind(person.id)
            .fetch_all(&world.pool)
            .await
            .unwrap();
            if kinds.len() >= count {
                return kinds;
            }
            // Rows come with the next batch, and nobody announces it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.expect("the rows in time")
}

async fn an_event_that_a_room_has_shown_long_ago_is_not_shown_again(world: &World) {
    let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    // In an earlier epoch, which no reader looks at.
    for (seq, (kind, name)) in (1_i64..).zip([(1_i16, "joined"), (2, "left"), (1, "joined")]) {
        sqlx::query(
            "insert into chat_messages (room_id, seq, kind, sender_id, sent_at, body) \
             values ($1, $2, $3, $4, now() - interval '1 hour', $5)",
        )
        .bind(room)
        .bind(seq)
        .bind(kind)
        .bind(bo.id)
        .bind(body(name, &bo, 9 + seq))
        .execute(&world.pool)
        .await
        .unwrap();
    }
    for old in [joined(room, &bo, 10), left(room, &bo, 11), joined(room, &bo, 12)] {
        world.deliver(old).await;
    }
    // Of the same meetup: it comes after the others.
    world.add_row(room, &cy).await;
    world.deliver(joined(room, &cy, 13)).await;
    assert_eq!(shown(world, room, &cy, 1).await, [1]);
    assert_eq!(shown(world, room, &bo, 3).await, [1, 2, 1], "nothing has come since");
    let position: Option<i64> =
        sqlx::query_scalar("select seq from read_positions where room_id = $1 and user_id = $2")
            .bind(room)
            .bind(bo.id)
            .fetch_optional(&world.pool)
            .await
            .unwrap();
    assert_eq!(position, Some(0), "they are a member");
    world.deliver(left(room, &bo, 14)).await;
    assert_eq!(shown(world, room, &bo, 4).await, [1, 2, 1, 2]);
}

async fn quick_changes_of_one_membership_are_all_shown(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    world.join(room, &bo).await;
    world.leave(room, &bo).await;
    world.join_again(room, &bo).await;
    assert_eq!(shown(world, room, &bo, 3).await, [1, 2, 1]);
}

/// Two rooms in different partitions of the chat log.
async fn apart(world: &World, person: &Person) -> (i64, i64) {
    let number = |room: i64| partition_of(RoomId::try_from(room).unwrap(), PARTITIONS);
    let first = world.room(&[person]).await;
    loop {
        let second = world.room(&[person]).await;
        if number(second) != number(first) {
            return (first, second);
        }
    }
}

/// Nobody writes the room's partition until this ends.
async fn hold_back(world: &World, room: i64) -> Transaction<'static, Postgres> {
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("select from log_progress where epoch = 1 and partition = $1 for update")
        .bind(i32::from(partition_of(RoomId::try_from(room).unwrap(), PARTITIONS)))
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction
}

/// What is appended to the chat log from now on has the time that its sender says.
async fn let_senders_say_the_time(world: &World, producer: &FutureProducer) {
    let topic = Topics::new(world.prefix()).chat_log(1);
    let admin: AdminClient<DefaultClientContext> =
        client_config(&testing::server("MOYIZA_TEST_KAFKA_BROKERS")).create().unwrap();
    let setting =
        AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("message.timestamp.type", "CreateTime");
    admin.alter_configs(&[setting], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    for partition in 0..PARTITIONS {
        let taken_up = async {
            // What every reader leaves out. Brokers do not tell when they have taken up a setting.
            let probe = || FutureRecord::<(), _>::to(&topic).payload("is this topic closed?").timestamp(1);
            while producer
                .send(probe().partition(partition.into()), Timeout::After(PATIENCE))
                .await
                .unwrap()
                .timestamp
                .to_millis()
                != Some(1)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken_up).await.expect("the brokers take up a setting");
    }
}

fn ms_since_1970(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

#[tokio::test]
async fn an_event_waits_for_a_cluster_to_have_made_rows_of_what_it_may_repeat() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
        let (room, other) = apart(world, &anna).await;
        let node = plain_node(world).await;
        let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
        let producer: FutureProducer = client_config(&brokers).set("linger.ms", "0").create().unwrap();
        let_senders_say_the_time(world, &producer).await;
        let held = hold_back(world, room).await;
        // What a node appended that was killed before it could commit the event.
        let (topic, key) = (Topics::new(world.prefix()).chat_log(1), room.to_string());
        let (user, body) = (bo.id.to_string(), body("joined", &bo, 10));
        let headers = [("kind", "1"), ("user", &*user), ("client-id", "event-10")];
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let record = FutureRecord::to(&topic).key(&key).payload(&body).headers(headers);
        let record = record
            .partition(partition_of(RoomId::try_from(room).unwrap(), PARTITIONS).into())
            .timestamp(ms_since_1970(SystemTime::now() - LONG_AGO));
        producer.send(record, Timeout::After(PATIENCE)).await.unwrap();
        world.deliver_by(&producer, joined(room, &bo, 10)).await;
        // By the time that these are rows the event has come, too.
        for _ in 0..3 {
            let seqs = post(&node, other, &anna, 5).await;
            world.rows_up_to(other, *seqs.last().unwrap()).await;
        }
        held.rollback().await.unwrap();
        world.deliver_by(&producer, joined(room, &cy, 11)).await;
        assert_eq!(shown(world, room, &cy, 1).await, [1]);
        assert_eq!(shown(world, room, &bo, 1).await, [1], "shown twice");
        stop(node).await;
    })
    .await;
}

#[tokio::test]
async fn events_that_wait_for_the_history_of_a_cluster_do_not_hold_it_up() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        const EVENTS: i64 = 600;
        let (anna, bo) = (world.person().await, world.person().await);
        let (room, other) = apart(world, &anna).await;
        let node = plain_node(world).await;
        let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
        let producer: FutureProducer = client_config(&brokers).set("linger.ms", "0").create().unwrap();
        let held = hold_back(world, room).await;
        post(&node, room, &anna, 1).await;
        // Far more than wait in memory.
        for id in 1..=EVENTS {
            let event = if id % 2 == 1 { joined(room, &bo, id) } else { left(room, &bo, id) };
            world.deliver_by(&producer, event).await;
        }
        for _ in 0..5 {
            let seqs = post(&node, other, &anna, 20).await;
            world.rows_up_to(other, *seqs.last().unwrap()).await;
        }
        held.rollback().await.unwrap();
        let kinds = shown(world, room, &bo, usize::try_from(EVENTS).unwrap()).await;
        let expected: Vec<_> = (0..EVENTS).map(|n| if n % 2 == 0 { 1 } else { 2 }).collect();
        assert_eq!(kinds, expected);
        stop(node).await;
    })
    .await;
}
