//! From `make cluster` back to `make run`, in the same directory.

use std::{path::PathBuf, sync::Arc};

use chat_engine::{
    log::{
        Log, epoch,
        kafka::{self, KafkaLog, Pace},
    },
    record::Draft,
};
use moyiza::instance;
use rustix::process::Signal;
use shared::names::Topics;
use sqlx::{Connection, PgConnection, PgPool};

use crate::{
    cluster::Cluster,
    process::{Launcher, embedded, moyiza},
};

/// A directory in which a cluster ran whose log has a record that is no row.
async fn left_by_a_cluster(cluster: &Cluster) -> PathBuf {
    let launcher = Launcher::start(&mut cluster.command());
    let url = instance::running(&cluster.instance()).unwrap().database_url;
    let brokers = cluster.told("chat-engine", "MOYIZA_KAFKA_BROKERS").remove(0);
    let pool = PgPool::connect(&url).await.unwrap();
    let (epoch, topics) = (epoch::current(&pool, epoch::Backend::Kafka, 8).await.unwrap(), Topics::new(""));
    kafka::ensure(&brokers, &topics, epoch).await.unwrap();
    let pace = Pace { linger_ms: 0, timeout_ms: 10_000 };
    let log = Log::Kafka(KafkaLog::new(&brokers, &topics, epoch, pace, Arc::default()).unwrap());
    let draft = Draft::message(1.try_into().unwrap(), 1.try_into().unwrap(), None, None, "남은 말");
    log.append_durably(draft).await.unwrap();
    pool.close().await;
    launcher.signal(Signal::TERM);
    assert_eq!(launcher.end(), 0);
    cluster.instance()
}

async fn expect_what_it_left(directory: &std::path::Path, epochs: &[&str]) {
    let url = instance::running(directory).unwrap().database_url;
    let mut database = PgConnection::connect(&url).await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar("select body::json ->> 'content' from chat_messages")
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert_eq!(rows, ["남은 말"]);
    let backends: Vec<String> = sqlx::query_scalar("select backend from log_epochs order by epoch")
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert_eq!(backends, epochs);
}

#[tokio::test]
async fn run_goes_on_with_what_a_cluster_in_the_same_directory_left() {
    let cluster = Cluster::new();
    let directory = left_by_a_cluster(&cluster).await;
    let launcher = Launcher::start(&mut embedded(&directory));
    expect_what_it_left(&directory, &["kafka", "embedded"]).await;
    launcher.signal(Signal::TERM);
    assert_eq!(launcher.end(), 0);
}

#[tokio::test]
async fn the_command_brings_home_what_a_cluster_left_on_servers_of_its_own() {
    let cluster = Cluster::new();
    let directory = left_by_a_cluster(&cluster).await;
    // What is no trouble is not warned of.
    let bump = |arguments: &[&str]| {
        let mut command = moyiza(&["log", "bump-epoch", "--dir"]);
        let output = command.arg(&directory).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let warned = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said, warned)
    };
    let (succeeded, said, warned) = bump(&[]);
    assert!(succeeded && !warned.contains("WARN"), "{said}{warned}");
    assert!(said.contains("1 of its records") && said.contains("Start the nodes"), "{said}");
    let (succeeded, said, warned) = bump(&["--to", "embedded"]);
    assert!(succeeded && !warned.contains("WARN"), "{said}{warned}");
    assert!(said.contains("0 of its records") && said.contains("`moyiza run`"), "{said}");
    let launcher = Launcher::start(&mut embedded(&directory));
    expect_what_it_left(&directory, &["kafka", "kafka", "embedded"]).await;
    launcher.signal(Signal::TERM);
    assert_eq!(launcher.end(), 0);
    // There is none any more.
    let (succeeded, said, warned) = bump(&[]);
    assert!(!succeeded && warned.contains("there is no cluster's log"), "{said}{warned}");
}
