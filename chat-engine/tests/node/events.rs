//! A room shows each joining and leaving once, however late its event comes again.

use std::time::Duration;

use chat_engine::log::kafka::client_config;
use rdkafka::producer::FutureProducer;
use shared::{
    event::{Envelope, LeaveReason, MeetupEvent},
    testing,
};
use sqlx::{Postgres, Transaction};

use crate::{
    history::{partition, plain_node, post, stop},
    outage::{Producer, ago},
    world::{Backing, Person, World, meetup, on_both_backends, with_world_as},
};

on_both_backends!(
    an_event_that_a_room_has_shown_long_ago_is_not_shown_again,
    quick_changes_of_one_membership_are_all_shown
);

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
    let query = "select kind from chat_messages \
                 where room_id = $1 and sender_id = $2 and kind in (1, 2) order by seq";
    let look = async || -> Vec<i16> {
        sqlx::query_scalar(query).bind(room).bind(person.id).fetch_all(&world.pool).await.unwrap()
    };
    testing::becomes("the rows of a person", look, |kinds| kinds.len() >= count).await
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
    let first = world.room(&[person]).await;
    loop {
        let second = world.room(&[person]).await;
        if partition(second) != partition(first) {
            return (first, second);
        }
    }
}

/// Nobody writes the room's partition until this ends.
async fn hold_back(world: &World, room: i64) -> Transaction<'static, Postgres> {
    let mut transaction = world.pool.begin().await.unwrap();
    sqlx::query("select from log_progress where epoch = 1 and partition = $1 for update")
        .bind(partition(room))
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction
}

#[tokio::test]
async fn an_event_waits_for_a_cluster_to_have_made_rows_of_what_it_may_repeat() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
        let (room, other) = apart(world, &anna).await;
        let node = plain_node(world).await;
        let producer = Producer::start(world).await;
        let held = hold_back(world, room).await;
        // What a node appended that was killed before it could commit the event.
        let (user, body) = (bo.id.to_string(), body("joined", &bo, 10));
        let headers = [("kind", "1"), ("user", &*user), ("client-id", "event-10")];
        producer.append(room, &headers, &body, ago(LONG_AGO)).await;
        producer.deliver(joined(room, &bo, 10)).await;
        // By the time that these are rows the event has come, too.
        for _ in 0..3 {
            let seqs = post(&node, other, &anna, 5).await;
            world.rows_up_to(other, *seqs.last().unwrap()).await;
        }
        held.rollback().await.unwrap();
        producer.deliver(joined(room, &cy, 11)).await;
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
