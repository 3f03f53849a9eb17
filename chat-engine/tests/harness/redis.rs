//! A look at Redis from outside, with a connection for each question.

use std::time::Duration;

use shared::testing;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What Redis says to a command.
async fn ask(command: &str) -> String {
    let url = testing::server("MOYIZA_TEST_REDIS_URL");
    let authority = url.trim_start_matches("redis://").split('/').next().unwrap();
    let mut redis = TcpStream::connect(authority).await.unwrap();
    redis.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    redis.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Whether there is such a key.
pub(crate) async fn exists(key: &str) -> bool {
    ask(&format!("EXISTS {key}")).await.starts_with(":1")
}

/// Waits until a hash has such a value: nobody announces it.
pub(crate) async fn value_becomes(key: &str, wanted: impl Fn(&str) -> bool) {
    hash_becomes(key, |text| text.lines().any(&wanted)).await;
}

/// Waits until what a hash has, field by field, is as wanted.
pub(crate) async fn hash_becomes(key: &str, wanted: impl Fn(&str) -> bool) {
    let question = format!("HGETALL {key}");
    let reached = async {
        while !wanted(&ask(&question).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await.is_ok();
    assert!(in_time, "what {key} has: {}", ask(&question).await);
}

/// Redis loses what it knows of a room, whose keys begin with this.
pub(crate) async fn forget(tag: &str) {
    let keys = ["positions", "active", "meta", "changes", "checkpoints"].map(|key| format!("{tag}:{key}"));
    assert!(ask(&format!("DEL {}", keys.join(" "))).await.starts_with(':'));
}

/// Breaks the connections of this name, which are so many.
pub(crate) async fn cut(name: &str, count: usize) {
    let (clients, name) = (ask("CLIENT LIST").await, format!("name={name} "));
    let of_that_name = clients.lines().filter(|line| line.contains(&name));
    let id = |line: &str| line.split(' ').find_map(|word| word.strip_prefix("id=")).map(str::to_owned);
    let ids: Vec<_> = of_that_name.filter_map(id).collect();
    assert_eq!(ids.len(), count, "{name}: {clients}");
    for id in ids {
        assert!(ask(&format!("CLIENT KILL ID {id}")).await.starts_with(":1"));
    }
}

/// Waits until a sharded channel has so many subscribers: nobody announces it.
pub(crate) async fn followers_become(channel: &str, count: usize) {
    let question = format!("PUBSUB SHARDNUMSUB {channel}");
    let answer = format!(":{count}\r\n");
    let reached = async {
        while !ask(&question).await.contains(&answer) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await.is_ok();
    assert!(in_time, "{channel} has not {count} subscribers: {}", ask(&question).await);
}
