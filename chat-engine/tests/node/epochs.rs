//! The log's epochs: whatever becomes of a topic, `seq` never runs backwards in a room, and nothing is acknowledged
//! in a log that has ended.

use chat_engine::{
    Backend, Running,
    log::{
        bump::{Bump, BumpError, Bumped, Next, bump},
        kafka::client_config,
    },
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{Headers as _, Message as _},
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
    util::Timeout,
};
use shared::{Seq, names::Topics, testing};

use crate::{
    client::{Client, PATIENCE},
    crash::Node,
    history::{messages, produce, produce_message},
    repeats::{append, expect_rows},
    settings::settings,
    world::{Backing, World, with_world_as},
};

pub(crate) async fn start(world: &World, partitions: u16) -> anyhow::Result<Running> {
    let mut settings = settings(world.prefix(), []);
    settings.engine.log_partitions = partitions;
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let backend = Backend::Cluster { brokers, redis_url: testing::server("MOYIZA_TEST_REDIS_URL") };
    chat_engine::start(settings, world.pool.clone(), backend).await
}

pub(crate) fn order(world: &World, partitions: Option<u16>, lost: bool) -> Bump {
    Bump {
        brokers: testing::server("MOYIZA_TEST_KAFKA_BROKERS"),
        redis_url: testing::server("MOYIZA_TEST_REDIS_URL"),
        prefix: world.prefix().to_owned(),
        next: Next::Kafka(partitions),
        lost,
    }
}

/// Once the nodes that ended, or sleep, are no longer members of the group.
pub(crate) async fn bump_when_nobody_runs(world: &World, order: &Bump) -> Result<Bumped, BumpError> {
    let bumped = async || bump(&world.pool, order).await;
    testing::becomes("members to leave", bumped, |bumped| !matches!(bumped, Err(BumpError::Running(..))))
        .await
}

fn admin() -> AdminClient<DefaultClientContext> {
    client_config(&testing::server("MOYIZA_TEST_KAFKA_BROKERS")).create().unwrap()
}

/// Deletes the topic of the first epoch and, if `anew`, makes another of the same name.
async fn lose_topic(world: &World, anew: bool) {
    let (topic, options, admin) = (Topics::new(world.prefix()).chat_log(1), AdminOptions::new(), admin());
    admin.delete_topics(&[&topic], &options).await.unwrap().pop().unwrap().unwrap();
    let make = async || {
        let new = NewTopic::new(&topic, 2, TopicReplication::Fixed(1));
        match admin.create_topics(&[new], &options).await.unwrap().pop().unwrap() {
            Ok(_) => true,
            // The old one is still going.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => false,
            Err((_, code)) => panic!("{code}"),
        }
    };
    if anew {
        testing::until("a topic that is gone to be made again", make).await;
    }
}

#[tokio::test]
async fn seq_goes_on_over_a_bump_and_another_number_of_partitions() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let rooms = [world.room(&[&anna]).await, world.room(&[&anna]).await, world.room(&[&anna]).await];
        let mut last = [0; 3];
        let mut expected = vec![Vec::new(); 3];
        for (epoch, partitions, next) in [(1, 2, Some(3)), (2, 3, None), (3, 3, Some(1)), (4, 1, Some(2))] {
            let node = start(world, partitions).await.unwrap();
            let mut client = Client::connect(node.addr(), &anna.token).await;
            for (n, room) in rooms.into_iter().enumerate() {
                let seq = client.post(room, "안녕").await;
                assert!(seq > last[n] && seq >> 40 == epoch, "{seq} in epoch {epoch} after {}", last[n]);
                last[n] = seq;
                expected[n].push((seq, "안녕"));
            }
            // Rows say that the node is in the group.
            world.rows_up_to(rooms[0], last[0]).await;
            assert!(
                matches!(bump(&world.pool, &order(world, next, false)).await, Err(BumpError::Running(1, _))),
                "a node is running"
            );
            client.disconnect().await;
            node.stop().await;
            let bumped = bump_when_nobody_runs(world, &order(world, next, false)).await.unwrap();
            assert_eq!(
                (bumped.from.partitions, bumped.to.partitions),
                (partitions, next.unwrap_or(partitions))
            );
        }
        for (room, expected) in rooms.into_iter().zip(expected) {
            expect_rows(world, room, &expected).await;
        }
        let refused = start(world, 5).await.err().expect("the log has 2 partitions").to_string();
        assert!(refused.contains("moyiza log bump-epoch --partitions 5"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn what_is_in_the_old_topic_is_history_before_the_next_begins() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        start(world, 2).await.unwrap().stop().await;
        // Nobody runs who would write them; one was sent twice.
        let first = append(world, &anna, room, "a", "하나").await;
        append(world, &anna, room, "a", "하나").await;
        let second = append(world, &anna, room, "b", "둘").await;
        let bumped = bump_when_nobody_runs(world, &order(world, None, false)).await.unwrap();
        assert_eq!(bumped.written, 2);
        expect_rows(world, room, &[(first, "하나"), (second, "둘")]).await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_history_does_not_keep_an_epoch_from_ending_and_is_a_dead_letter() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        world.refuse_some_rows().await;
        start(world, 2).await.unwrap().stop().await;
        let first = append(world, &anna, room, "a", "하나").await;
        let mut letters = vec![produce(world, room, &[("stray", "yes")], b"{}").await];
        letters.push(produce_message(world, room, anna.id, "b", "refuse me").await);
        let second = append(world, &anna, room, "c", "둘").await;
        let bumped = bump_when_nobody_runs(world, &order(world, None, false)).await.unwrap();
        assert_eq!((bumped.written, bumped.dead_letters), (2, 2));
        expect_rows(world, room, &[(first, "하나"), (second, "둘")]).await;
        let mut found = messages(&Topics::new(world.prefix()).dead_letter(), 0, 2, |message| {
            let mut headers = message.headers().unwrap().iter();
            let offset = headers.find(|header| header.key == "dead-letter-offset").unwrap();
            std::str::from_utf8(offset.value.unwrap()).unwrap().parse::<i64>().unwrap()
        })
        .await;
        found.sort_unstable();
        assert_eq!(found, letters);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_closed_topic_is_what_every_copy_has() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        start(world, 2).await.unwrap().stop().await;
        bump_when_nobody_runs(world, &order(world, None, false)).await.unwrap();
        let topic = Topics::new(world.prefix()).chat_log(1);
        for partition in 0..2 {
            // A message behind the last record that could be, acknowledged by all: so is what comes before.
            let last = tokio::task::spawn_blocking({
                let topic = topic.clone();
                move || {
                    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
                    let consumer: BaseConsumer = client_config(&brokers).create().unwrap();
                    consumer.fetch_watermarks(&topic, partition, PATIENCE).unwrap().1
                }
            });
            let count = usize::try_from(last.await.unwrap()).unwrap();
            let found =
                messages(&topic, partition, count, |message| message.payload().map(<[u8]>::to_vec)).await;
            assert_eq!(found.last().unwrap().as_deref(), Some(&b"the end"[..]));
        }
    })
    .await;
}

#[tokio::test]
async fn a_node_that_slept_through_it_has_nothing_acknowledged_and_ends() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut sleeper = Node::start(world).await;
        let mut client = Client::connect(sleeper.addr, &anna.token).await;
        let before = client.post(room, "전").await;
        signal(&sleeper, "-STOP").await;
        bump_when_nobody_runs(world, &order(world, None, false)).await.unwrap();
        // It is in the socket before the node wakes, and is what the node does first.
        client.post_only(room, "자다가", "asleep").await;
        signal(&sleeper, "-CONT").await;
        let answer = client.next().await;
        assert!(
            answer.is_none_or(|frame| frame.command == stomp::Command::Error),
            "acknowledged in a log that has ended"
        );
        let ended = tokio::time::timeout(PATIENCE, sleeper.process.wait()).await.expect("it ends").unwrap();
        assert!(!ended.success());
        let node = start(world, 2).await.unwrap();
        let mut client = Client::connect(node.addr(), &anna.token).await;
        let after = client.post(room, "후").await;
        assert!(after > before);
        expect_rows(world, room, &[(before, "전"), (after, "후")]).await;
        client.disconnect().await;
        node.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_topic_that_has_been_closed_takes_nothing_and_says_what_to_do() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        start(world, 2).await.unwrap().stop().await;
        bump_when_nobody_runs(world, &order(world, None, false)).await.unwrap();
        let topic = Topics::new(world.prefix()).chat_log(1);
        let producer: FutureProducer =
            client_config(&testing::server("MOYIZA_TEST_KAFKA_BROKERS")).create().unwrap();
        for partition in 0..2 {
            let left = r#"{"type":"left","user":1,"at":1700000000000,"client-id":"event-1"}"#;
            let record = FutureRecord::to(&topic).key("1").payload(left).partition(partition);
            let (error, _) = producer.send(record, Timeout::After(PATIENCE)).await.unwrap_err();
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::MessageSizeTooLarge));
        }
        // As if the command had been interrupted before it took the next epoch.
        sqlx::query("delete from log_epochs where epoch = 2").execute(&world.pool).await.unwrap();
        let refused = start(world, 2).await.err().expect("the topic is closed").to_string();
        assert!(refused.contains("moyiza log bump-epoch"), "{refused}");
        let bumped = bump_when_nobody_runs(world, &order(world, None, false)).await.unwrap();
        assert_eq!(bumped.to.number, 2);
    })
    .await;
}

#[tokio::test]
async fn a_topic_made_anew_beneath_a_node_ends_it_before_seq_runs_backwards() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut node = start(world, 2).await.unwrap();
        let mut client = Client::connect(node.addr(), &anna.token).await;
        let mut last = 0;
        for _ in 0..5 {
            last = client.post(room, "전").await;
        }
        world.rows_up_to(room, last).await;
        lose_topic(world, true).await;
        // Whatever it is told, nobody gets a seq that was given out before.
        for n in 0.. {
            let Some(seq) = client.try_post(room, &n.to_string()).await else { break };
            assert!(seq > last, "{seq} after {last}");
            last = seq;
        }
        let error = tokio::time::timeout(PATIENCE, node.finished()).await.expect("the node ends");
        assert!(format!("{error:#}").contains("moyiza log bump-epoch"), "{error:#}");
        node.stop().await;
        // It does not start on it either, and the next epoch is begun only by who knows what is lost.
        let refused = start(world, 2).await.err().expect("this is another log").to_string();
        assert!(refused.contains("moyiza log bump-epoch"), "{refused}");
        let refused = bump_when_nobody_runs(world, &order(world, None, false)).await;
        assert!(matches!(refused, Err(BumpError::Lost(_))), "{refused:?}");
        bump_when_nobody_runs(world, &order(world, None, true)).await.unwrap();
        go_on_after(world, &anna, room, last).await;
    })
    .await;
}

#[tokio::test]
async fn a_topic_made_anew_ends_a_node_that_only_reads() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut node = start(world, 2).await.unwrap();
        let mut client = Client::connect(node.addr(), &anna.token).await;
        client.post(room, "전").await;
        lose_topic(world, true).await;
        let error = tokio::time::timeout(PATIENCE, node.finished()).await.expect("the node ends");
        assert!(format!("{error:#}").contains("moyiza log bump-epoch"), "{error:#}");
        client.disconnect().await;
        node.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_deleted_topic_ends_a_node() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let mut node = start(world, 2).await.unwrap();
        lose_topic(world, false).await;
        let error = tokio::time::timeout(PATIENCE, node.finished()).await.expect("the node ends");
        assert!(format!("{error:#}").contains("moyiza log bump-epoch"), "{error:#}");
        node.stop().await;
    })
    .await;
}

#[tokio::test]
async fn seq_goes_on_after_the_topic_was_deleted() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let node = start(world, 2).await.unwrap();
        let mut client = Client::connect(node.addr(), &anna.token).await;
        let last = client.post(room, "전").await;
        world.rows_up_to(room, last).await;
        client.disconnect().await;
        node.stop().await;
        lose_topic(world, false).await;
        let refused = bump_when_nobody_runs(world, &order(world, None, false)).await;
        assert!(matches!(refused, Err(BumpError::Lost(_))), "{refused:?}");
        bump_when_nobody_runs(world, &order(world, None, true)).await.unwrap();
        go_on_after(world, &anna, room, last).await;
    })
    .await;
}

async fn go_on_after(world: &World, anna: &crate::world::Person, room: i64, last: i64) {
    let node = start(world, 2).await.unwrap();
    let mut client = Client::connect(node.addr(), &anna.token).await;
    let seq = client.post(room, "후").await;
    assert!(seq > last && seq >= Seq::new(2, 0).get(), "{seq} after {last}");
    client.disconnect().await;
    node.stop().await;
}

#[tokio::test]
async fn an_embedded_node_ends_when_another_epoch_has_begun() {
    with_world_as(Backing::Embedded, &[], async |world| {
        let (_events, received) = shared::event::local_channel();
        let backend = Backend::Embedded { events: received };
        let mut node =
            chat_engine::start(settings(world.prefix(), []), world.pool.clone(), backend).await.unwrap();
        sqlx::query("insert into log_epochs (epoch, backend, partitions) values (2, 'kafka', 2)")
            .execute(&world.pool)
            .await
            .unwrap();
        let error = tokio::time::timeout(PATIENCE, node.finished()).await.expect("the node ends");
        assert!(error.to_string().contains("epoch 2"), "{error:#}");
        node.stop().await;
    })
    .await;
}

/// Stops a node where it is, or lets it go on.
async fn signal(node: &Node, signal: &str) {
    let id = node.process.id().expect("it runs").to_string();
    let status = tokio::process::Command::new("kill").args([signal, &id]).status().await.unwrap();
    assert!(status.success());
}
