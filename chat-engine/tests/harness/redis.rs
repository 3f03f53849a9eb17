//! A look from outside at the Redis that tests share.

use shared::testing;

use crate::questions;

fn authority() -> String {
    let url = testing::server("MOYIZA_TEST_REDIS_URL");
    url.trim_start_matches("redis://").split('/').next().unwrap().to_owned()
}

/// What Redis says to a command.
pub(crate) async fn ask(command: &str) -> String {
    questions::ask(&authority(), command).await
}

/// Waits until the answer to a question about keys is as wanted.
pub(crate) async fn answer_becomes(question: &str, wanted: impl Fn(&str) -> bool) {
    questions::answer_becomes(&authority(), question, wanted).await;
}

/// Whether there is such a key.
pub(crate) async fn exists(key: &str) -> bool {
    ask(&format!("EXISTS {key}")).await.starts_with(":1")
}

/// Waits until a hash has such a value.
pub(crate) async fn value_becomes(key: &str, wanted: impl Fn(&str) -> bool) {
    hash_becomes(key, |text| text.lines().any(&wanted)).await;
}

/// Waits until what a hash has, field by field, is as wanted.
pub(crate) async fn hash_becomes(key: &str, wanted: impl Fn(&str) -> bool) {
    answer_becomes(&format!("HGETALL {key}"), wanted).await;
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

/// Waits until a sharded channel has so many subscribers.
pub(crate) async fn followers_become(channel: &str, count: usize) {
    let question = format!("PUBSUB SHARDNUMSUB {channel}");
    let so_many = format!(":{count}\r\n");
    let what = format!("{count} subscribers of {channel}");
    testing::becomes(&what, async || ask(&question).await, |answer| answer.contains(&so_many)).await;
}
