//! Events through a real Kafka, and the binary, which needs one.

use std::{process::Stdio, time::Duration};

use api::EventSink;
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{Consumer as _, StreamConsumer},
};
use shared::{
    MeetupId, UserId,
    event::{self, Envelope, MeetupEvent},
    names::Topics,
    testing::{unique, with_database},
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{PATIENCE, brokers, settings};

fn joined(meetup: i64, user: i64) -> MeetupEvent {
    let (meetup, user) = (MeetupId::try_from(meetup).unwrap(), UserId::try_from(user).unwrap());
    MeetupEvent::MemberJoined { meetup, user, version: 1 }
}

/// Reads a topic from its beginning.
fn consumer(topic: &str) -> StreamConsumer {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

async fn next(consumer: &StreamConsumer) -> (String, Envelope) {
    let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("an event in time").unwrap();
    let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
    (key, serde_json::from_slice(message.payload().unwrap()).unwrap())
}

#[tokio::test]
async fn kafka_gets_every_event_under_its_key_in_order() {
    with_database(async |pool, _| {
        let topics = Topics::new(unique("api-test."));
        let sink = || EventSink::Kafka { brokers: brokers(), topics: topics.clone() };
        // Two nodes: the second finds the topic there.
        let one = api::start(settings(&[]), pool.clone(), sink()).await.unwrap();
        let other = api::start(settings(&[]), pool.clone(), sink()).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        for user in 1..=60 {
            event::publish(&mut transaction, &joined(user % 3 + 1, user)).await.unwrap();
        }
        transaction.commit().await.unwrap();

        let consumer = consumer(&topics.meetup_events());
        let mut last = std::collections::BTreeMap::new();
        for _ in 0..60 {
            let (key, envelope) = next(&consumer).await;
            let MeetupEvent::MemberJoined { meetup, user, .. } = envelope.event else { panic!() };
            assert_eq!(key, format!("meetup:{meetup}"));
            let before = last.insert(key, (envelope.id, user));
            assert!(before < Some((envelope.id, user)), "{before:?} {envelope:?}");
        }
        one.stop().await;
        event::publish(&mut pool.acquire().await.unwrap(), &joined(7, 7)).await.unwrap();
        assert_eq!(next(&consumer).await.1.event, joined(7, 7));
        other.stop().await;
    })
    .await;
}

#[tokio::test]
async fn kafka_and_a_database_are_all_that_the_binary_needs_and_it_stops_when_asked() {
    with_database(async |_, url| {
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
            let mut api = tokio::process::Command::new(env!("CARGO_BIN_EXE_api"))
                .env_clear()
                .env("DATABASE_URL", url)
                .env("MOYIZA_KAFKA_BROKERS", brokers())
                .env("MOYIZA_PREFIX", unique("api-test."))
                .env("MOYIZA_API_ADDR", "127.0.0.1:0")
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut log = BufReader::new(api.stderr.take().unwrap()).lines();
            let listens = async {
                loop {
                    let line = log.next_line().await.unwrap().expect("it listens before it ends");
                    if line.contains("the api listens") {
                        break line;
                    }
                }
            };
            tokio::time::timeout(PATIENCE, listens).await.unwrap();
            let id = i32::try_from(api.id().unwrap()).unwrap();
            rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
            let status = tokio::time::timeout(PATIENCE, api.wait()).await.unwrap().unwrap();
            assert!(status.success(), "{status}");
        }
    })
    .await;
}

/// Killed between a commit and Kafka, or between Kafka and the outbox: what was committed is told all the same.
#[tokio::test]
async fn an_api_that_is_killed_loses_no_event_and_keeps_their_order() {
    with_database(async |pool, url| {
        let prefix = unique("api-test.");
        let start = || {
            tokio::process::Command::new(env!("CARGO_BIN_EXE_api"))
                .env_clear()
                .env("DATABASE_URL", url)
                .env("MOYIZA_KAFKA_BROKERS", brokers())
                .env("MOYIZA_PREFIX", &prefix)
                .env("MOYIZA_API_ADDR", "127.0.0.1:0")
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap()
        };
        let topics = Topics::new(prefix.clone());
        // The topic has to be there before it is read.
        let sink = EventSink::Kafka { brokers: brokers(), topics: topics.clone() };
        api::start(settings(&[]), pool.clone(), sink).await.unwrap().stop().await;
        let consumer = consumer(&topics.meetup_events());
        let mut seen = std::collections::BTreeMap::<String, Vec<i64>>::new();
        let publish = async |from: i64| {
            let mut transaction = pool.begin().await.unwrap();
            for user in from..from + 300 {
                event::publish(&mut transaction, &joined(user % 3 + 1, user)).await.unwrap();
            }
            transaction.commit().await.unwrap();
        };
        for round in 0..4 {
            let mut api = start();
            publish(1 + 300 * round).await;
            // In the middle of it, the last time not.
            let wanted = if round < 3 { 300 * (round + 1) - 150 } else { 1_200 };
            while seen.values().map(Vec::len).sum::<usize>() < usize::try_from(wanted).unwrap() {
                let (key, envelope) = next(&consumer).await;
                let MeetupEvent::MemberJoined { user, .. } = envelope.event else { panic!() };
                let of_key = seen.entry(key).or_default();
                if !of_key.contains(&user.get()) {
                    of_key.push(user.get());
                }
            }
            // SIGKILL.
            api.kill().await.unwrap();
        }
        assert_eq!(seen.len(), 3);
        assert!(seen.values().all(|users| users.is_sorted() && users.len() == 400), "{seen:?}");
    })
    .await;
}

/// Needs no Kafka: there is none at that address.
#[tokio::test]
async fn without_kafka_the_start_fails_and_names_the_setting() {
    with_database(async |pool, _| {
        let sink = EventSink::Kafka { brokers: "127.0.0.1:1".into(), topics: Topics::new("") };
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let start = api::start(settings(&["--api-addr", &free.to_string()]), pool.clone(), sink);
        let error = tokio::time::timeout(Duration::from_mins(1), start).await.unwrap().unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("127.0.0.1:1") && text.contains("MOYIZA_KAFKA_BROKERS"), "{text}");
        // Nothing is left half started.
        std::net::TcpListener::bind(free).expect("the address is free again");
    })
    .await;
}
