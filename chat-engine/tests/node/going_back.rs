//! From a cluster back to a single process: what Kafka acknowledged comes along.

use chat_engine::{
    Backend, Running,
    log::{
        bump::Next,
        kafka::{client_config, ensure},
    },
};
use rdkafka::{
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{
    event::{Envelope, MeetupEvent, local_channel},
    names::Topics,
    testing,
};

use crate::{
    client::{Client, PATIENCE},
    epochs::{bump_when_nobody_runs, order, start},
    redis,
    repeats::{append, expect_rows},
    settings::settings,
    world::{Backing, Person, World, with_world_as},
};

async fn start_embedded(world: &World) -> anyhow::Result<Running> {
    let backend = Backend::Embedded { events: local_channel().1 };
    chat_engine::start(settings(world.prefix(), []), world.pool.clone(), backend).await
}

#[tokio::test]
async fn a_single_process_waits_for_the_end_of_a_cluster_s_log_and_goes_on_after_it() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let node = start(world, 2).await.unwrap();
        let mut client = Client::connect(node.addr(), &anna.token).await;
        let first = client.post(room, "하나").await;
        client.disconnect().await;
        node.stop().await;
        // Acknowledged, and no row.
        let second = append(world, &anna, room, "b", "둘").await;
        let refused = start_embedded(world).await.err().expect("it is in Kafka").to_string();
        assert!(refused.contains("`moyiza log bump-epoch --to embedded`"), "{refused}");

        let mut order = order(world, None, false);
        order.next = Next::Embedded;
        let bumped = bump_when_nobody_runs(world, &order).await.unwrap();
        assert_eq!((bumped.to.number, bumped.to.partitions), (2, 1));
        let topics = Topics::new(world.prefix());
        let closed = ensure(&order.brokers, &topics, bumped.from).await.unwrap_err().to_string();
        assert!(closed.contains("takes no more records"), "{closed}");
        let node = start_embedded(world).await.unwrap();
        let mut client = Client::connect(node.addr(), &anna.token).await;
        let third = client.post(room, "셋").await;
        assert!(third > second);
        expect_rows(world, room, &[(first, "하나"), (second, "둘"), (third, "셋")]).await;
        client.disconnect().await;
        node.stop().await;

        // And to a cluster again, by itself.
        let node = start(world, 2).await.unwrap();
        let mut client = Client::connect(node.addr(), &anna.token).await;
        assert!(client.post(room, "넷").await > third);
        client.disconnect().await;
        node.stop().await;
    })
    .await;
}

#[tokio::test]
async fn who_joins_between_two_clusters_is_counted_in_the_second() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna]).await;
        let node = start(world, 2).await.unwrap();
        let mut a = Client::connect(node.addr(), &anna.token).await;
        a.follow(room).await;
        let seq = a.post(room, "혼자").await;
        a.expect_count(seq, 0).await;
        a.disconnect().await;
        node.stop().await;
        let of_room = format!("{}{{room:{room}}}:meta", world.prefix());
        assert!(redis::exists(&of_room).await);

        let mut order = order(world, None, false);
        order.next = Next::Embedded;
        bump_when_nobody_runs(world, &order).await.unwrap();
        assert!(!redis::exists(&of_room).await);
        // As a single process leaves it: nobody tells Redis.
        world.add_row(room, &bo).await;
        sqlx::query("insert into read_positions (room_id, user_id, seq) values ($1, $2, $3)")
            .bind(room)
            .bind(bo.id)
            .bind(seq)
            .execute(&world.pool)
            .await
            .unwrap();

        let node = start(world, 2).await.unwrap();
        let mut a = Client::connect(node.addr(), &anna.token).await;
        a.follow(room).await;
        let seq = a.post(room, "둘").await;
        a.expect_count(seq, 1).await;
        a.disconnect().await;
        node.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_joining_that_no_node_of_the_cluster_recorded_goes_back_to_the_outbox() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let (anna, bo, cho) = (world.person().await, world.person().await, world.person().await);
        let room = world.room(&[&anna]).await;
        let node = start(world, 2).await.unwrap();
        publish(world, room, 41, &bo).await;
        world.rows_where(room, "kind = 1", 1).await;
        node.stop().await;
        publish(world, room, 42, &cho).await;

        let mut order = order(world, None, false);
        order.next = Next::Embedded;
        bump_when_nobody_runs(world, &order).await.unwrap();
        let outbox: Vec<(i64, String)> =
            sqlx::query_as("select id, payload ->> 'type' from outbox").fetch_all(&world.pool).await.unwrap();
        assert_eq!(outbox, [(42, "member-joined".to_owned())]);
        // It is not recorded a second time by a cluster that comes after.
        sqlx::query("delete from outbox").execute(&world.pool).await.unwrap();
        start(world, 2).await.unwrap().stop().await;
        bump_when_nobody_runs(world, &order).await.unwrap();
        let left: i64 =
            sqlx::query_scalar("select count(*) from outbox").fetch_one(&world.pool).await.unwrap();
        let joined: i64 =
            sqlx::query_scalar("select count(*) from chat_messages where room_id = $1 and kind = 1")
                .bind(room)
                .fetch_one(&world.pool)
                .await
                .unwrap();
        assert_eq!((left, joined), (0, 1));
    })
    .await;
}

/// Tells the cluster of a new member, as the api's relay does.
async fn publish(world: &World, room: i64, id: i64, person: &Person) {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let producer: FutureProducer = client_config(&brokers).set("linger.ms", "0").create().unwrap();
    let event = MeetupEvent::MemberJoined { meetup: room.try_into().unwrap(), user: person.id, version: 1 };
    let (key, topic) = (event.key().to_string(), Topics::new(world.prefix()).meetup_events());
    let payload = serde_json::to_vec(&Envelope { id, event }).unwrap();
    let record = FutureRecord::to(&topic).key(&key).payload(&payload);
    producer.send(record, Timeout::After(PATIENCE)).await.unwrap();
}
