//! What lists of rooms cost in Redis, and what becomes of them when it is emptied.

use std::time::Instant;

use chat_engine::Running;
use futures_util::future::join_all;
use serde_json::json;

use super::list::List;
use crate::{
    client::Client,
    history::{node, post, stop},
    redis_server::RedisServer,
    world::{Backing, World, metric, with_world_as},
};

const PEOPLE: usize = 40;
const ROOMS: usize = 5;
const MESSAGES: usize = 300;

/// Runs `test` on so many nodes that have a Redis of their own.
async fn with_redis(nodes: usize, test: impl AsyncFnOnce(&World, &RedisServer, &[Running])) {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let redis = RedisServer::start().await;
        // Silent rooms are not to be asked meanwhile.
        let arguments = ["--reading-check-ms", "600000"];
        let mut running = Vec::new();
        for _ in 0..nodes {
            running.push(node(world, &arguments, world.database_url(), &redis.url()).await);
        }
        test(world, &redis, &running).await;
        for node in running {
            stop(node).await;
        }
    })
    .await;
}

/// How often a command was called, by clients and by functions.
async fn calls(redis: &RedisServer, command: &str) -> u64 {
    let stats = redis.ask("INFO commandstats").await;
    let name = format!("cmdstat_{command}:calls=");
    let calls = stats.lines().find_map(|line| line.strip_prefix(&name)?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[tokio::test]
async fn who_opens_the_app_on_a_cluster_shares_calls_of_redis_and_messages_cost_none() {
    with_redis(1, async |world, redis, nodes| {
        let mut people = Vec::new();
        for _ in 0..PEOPLE {
            people.push(world.person().await);
        }
        let everybody: Vec<_> = people.iter().collect();
        let mut rooms = Vec::new();
        for _ in 0..ROOMS {
            rooms.push(world.room(&everybody).await);
        }
        let node = &nodes[0];
        for room in &rooms {
            post(node, *room, &people[0], 1).await;
        }
        let coming = people.iter().map(|person| Client::connect(node.addr(), &person.token));
        let clients = join_all(coming).await;
        redis.ask("CONFIG RESETSTAT").await;
        // Whoever comes while the first answer is on its way is asked about together: here that is everybody.
        redis.freeze().await;
        let mut lists = join_all(clients.into_iter().map(List::begin)).await;
        redis.thaw().await;
        for list in &mut lists {
            list.is_known().await;
        }
        // A room is followed once, and its people are asked about together.
        assert_eq!(calls(redis, "ssubscribe").await, ROOMS as u64);
        let asked = calls(redis, "zmscore").await;
        assert!(asked <= 2 * ROOMS as u64, "{asked} calls for {PEOPLE} people in {ROOMS} rooms");

        redis.ask("CONFIG RESETSTAT").await;
        let batches = async || metric(node.addr(), "moyiza_history_batches_total").await;
        let (before, began) = (batches().await, Instant::now());
        let said = post(node, rooms[0], &people[0], MESSAGES).await;
        let (count, last) = (json!(MESSAGES + 1), *said.last().unwrap());
        for list in lists.iter_mut().skip(1) {
            list.expect(rooms[0], |line| line["unread"] == count && line["last"]["seq"] == last).await;
        }
        let sender = format!("HGET {}{{room:{}}}:meta told", world.prefix(), rooms[0]);
        redis.ask_until(&sender, &last.to_string()).await;
        // The history tells of them, and the node says once a second that it lives, and looks who does not.
        let allowed = batches().await - before + 2 * (began.elapsed().as_secs() + 2);
        let (made, asked) = (calls(redis, "fcall").await, calls(redis, "zmscore").await);
        assert_eq!(asked, 0, "nobody is asked about");
        assert!(made <= allowed, "{made} calls, {allowed} allowed");
    })
    .await;
}

#[tokio::test]
async fn a_cluster_whose_redis_is_flushed_has_right_lists() {
    with_redis(2, async |world, redis, nodes| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut lists = Vec::new();
        for node in nodes {
            lists.push(List::open(node.addr(), &bo).await);
        }
        post(&nodes[0], room, &anna, 2).await;
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 2).await;
        }
        let mut tab = Client::connect(nodes[0].addr(), &bo.token).await;
        tab.follow(room).await;
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 0 && line["read"].is_null()).await;
        }
        redis.ask("FLUSHALL").await;
        // What anybody says of the room finds that it is not there.
        let seen = *post(&nodes[1], room, &anna, 1).await.last().unwrap();
        tab.expect_count(seen, 0).await;
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 0 && line["last"]["seq"] == seen).await;
        }
        tab.disconnect().await;
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 0 && line["read"] == seen).await;
        }
        post(&nodes[0], room, &anna, 3).await;
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 3 && line["read"] == seen).await;
        }
    })
    .await;
}
