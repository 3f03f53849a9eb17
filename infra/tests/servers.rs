//! The servers themselves, as fetched and as installed.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::PermissionsExt};

use moyiza::servers::{
    Kafka, Postgres, Redis, Scratch, Store,
    kafka::Listener,
    postgres::{Binaries, Keep},
};
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};

fn store() -> Store {
    Store::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.servers")).unwrap()
}

#[tokio::test]
async fn the_fetched_postgres_starts_where_only_its_owner_may_pass() {
    let store = store();
    let binaries = Binaries::fetched(&store).await.unwrap();
    // A checkout below /root, when the tests run as root: PostgreSQL runs as somebody else then.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let postgres = Postgres::start_on(&binaries, directory.path(), Keep::Forever).await.unwrap();
    let mut database = PgConnection::connect(&postgres.url("postgres")).await.unwrap();
    let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut database).await.unwrap();
    assert_eq!(version, binaries.version());
    let address = postgres.url("postgres");
    let (_, host) = address.split_once('@').unwrap();
    let wrong = format!("postgres://moyiza:wrong@{host}");
    assert!(PgConnection::connect(&wrong).await.is_err(), "the password is asked for");
    postgres.stop().await;
}

#[tokio::test]
async fn data_of_another_version_says_what_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("postgres")).unwrap();
    fs::write(directory.path().join("postgres/PG_VERSION"), "9\n").unwrap();
    let error = Postgres::start(&store(), directory.path(), Keep::Scratch).await.unwrap_err().to_string();
    assert!(error.contains("written by PostgreSQL 9"), "{error}");
}

#[tokio::test]
async fn redis_keeps_its_data_when_told_to() {
    let store = store();
    let scratch = Scratch::new(&store).await.unwrap();
    let redis = Redis::start(&store, scratch.path(), true).await.unwrap();
    assert_eq!(ask(&redis, "SET word kept").await, "+OK");
    redis.stop().await;
    let redis = Redis::start(&store, scratch.path(), true).await.unwrap();
    assert_eq!(ask(&redis, "STRLEN word").await, ":4");
    redis.stop().await;
}

#[tokio::test]
async fn killed_servers_start_again_on_their_data_and_ports() {
    let store = store();
    let scratch = Scratch::new(&store).await.unwrap();
    let mut redis = Redis::start(&store, scratch.path(), true).await.unwrap();
    let mut postgres = Postgres::start(&store, scratch.path(), Keep::Killed).await.unwrap();
    let url = postgres.url("postgres");
    let mut database = PgConnection::connect(&url).await.unwrap();
    sqlx::query("create table kept as select 7 as number").execute(&mut database).await.unwrap();
    assert_eq!(ask(&redis, "SET word kept").await, "+OK");
    // Frozen ones too, with a connection open.
    redis.child().freeze();
    postgres.freeze();
    tokio::join!(redis.child().kill(), postgres.kill());
    assert!(redis.child().has_ended() && postgres.has_ended());
    redis.restart().await.unwrap();
    postgres.restart().await.unwrap();
    assert_eq!(ask(&redis, "STRLEN word").await, ":4");
    let mut database = PgConnection::connect(&url).await.unwrap();
    let number: i32 = sqlx::query_scalar("select number from kept").fetch_one(&mut database).await.unwrap();
    assert_eq!(number, 7);
    postgres.freeze();
    let asked = sqlx::query_scalar::<_, i32>("select number + 1 from kept").fetch_one(&mut database);
    tokio::pin!(asked);
    tokio::select! {
        biased;
        _ = &mut asked => panic!("a frozen server answered"),
        () = tokio::task::yield_now() => {}
    }
    postgres.thaw();
    assert_eq!(asked.await.unwrap(), 8);
    postgres.stop().await;
}

/// One command, and the first line of its answer.
async fn ask(redis: &Redis, command: &str) -> String {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let url = redis.url();
    let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("redis://")).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    BufReader::new(stream).lines().next_line().await.unwrap().unwrap()
}

#[tokio::test]
async fn kafka_starts_again_on_its_data_with_other_ports() {
    let store = store();
    let scratch = Scratch::new(&store).await.unwrap();
    let first = Kafka::start(&store, scratch.path(), 1).await.unwrap();
    let before = first.bootstrap();
    first.stop(Signal::KILL).await;
    let again = Kafka::start(&store, scratch.path(), 1).await.unwrap();
    assert_ne!(again.bootstrap(), before);
    again.stop(Signal::TERM).await;
}

#[tokio::test]
async fn three_brokers_make_one_cluster_and_a_killed_one_comes_back_to_it() {
    let store = store();
    let scratch = Scratch::new(&store).await.unwrap();
    let way = Listener { name: "WAY".into(), advertised: vec![1, 2, 3] };
    let mut kafka = Kafka::start_with(&store, scratch.path(), 3, &[way]).await.unwrap();
    assert_eq!(kafka.bootstrap().split(',').count(), 3);
    assert_eq!(kafka.children().count(), 3);
    for port in kafka.ports("WAY") {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    }
    kafka.broker(1).kill().await;
    kafka.restart(1).await.unwrap();
    kafka.ready(1).await;
    kafka.stop(Signal::KILL).await;
}
