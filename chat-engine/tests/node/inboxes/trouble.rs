//! Lists of rooms while something that they stand on is away.

use std::time::Duration;

use serde_json::json;
use shared::testing;
use stomp::{Command, Frame};

use super::list::{self, List};
use crate::{
    client::Client,
    history::{node, post, stop},
    proxy::Proxy,
    redis,
    world::{Backing, World, with_world_as},
};

#[tokio::test]
async fn without_redis_rooms_of_a_cluster_come_without_counts_and_counts_when_it_is_back() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let [anna, bo, cy] = [world.person().await, world.person().await, world.person().await];
        let room = world.room(&[&anna, &bo, &cy]).await;
        let (proxy, url) = Proxy::start(&testing::server("MOYIZA_TEST_REDIS_URL")).await;
        let node = node(world, &[], world.database_url(), &url).await;
        post(&node, room, &anna, 3).await;
        let mut before = List::open(node.addr(), &bo).await;
        before.expect(room, |line| line["unread"] == 3).await;
        proxy.cut();
        let mut unknown = List::open_now(node.addr(), &cy).await;
        assert_eq!(unknown.rooms[&room]["unread"], json!(null));
        assert_ne!(unknown.rooms[&room]["last"], json!(null));
        // Who reads here has read it, whether Redis can be told of it or not.
        let mut tab = Client::connect(node.addr(), &bo.token).await;
        tab.follow(room).await;
        before.expect(room, |line| line["unread"] == 0).await;
        post(&node, room, &anna, 1).await;
        proxy.heal();
        unknown.expect(room, |line| line["unread"] == 4).await;
        drop(tab);
        before.expect(room, |line| line["unread"] == 0 && line["read"].is_number()).await;
        post(&node, room, &anna, 2).await;
        before.expect(room, |line| line["unread"] == 2).await;
        drop((before, unknown));
        stop(node).await;
    })
    .await;
}

#[tokio::test]
async fn what_redis_has_lost_of_a_cluster_is_in_lists_again() {
    with_world_as(Backing::Cluster, &[], async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect(&anna).await;
        a.post(room, "하나").await;
        let mut lists = Vec::new();
        for addr in world.addrs().take(2) {
            let mut list = List::open(addr, &bo).await;
            list.expect(room, |line| line["unread"] == 1).await;
            lists.push(list);
        }
        let tag = format!("{}{{room:{room}}}", world.prefix());
        redis::forget(&tag).await;
        // The next who says something about the room has it loaded again.
        let mut b = world.connect_to(&bo, room).await;
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 0 && line["read"].is_null()).await;
        }
        let seen = a.post(room, "둘").await;
        b.expect_count(seen, 0).await;
        redis::forget(&tag).await;
        b.disconnect().await;
        for list in &mut lists {
            list.expect(room, |line| line["read"] == seen).await;
        }
        a.post(room, "셋").await;
        for list in &mut lists {
            list.expect(room, |line| line["unread"] == 1).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_of_a_cluster_is_followed_again_after_its_connection_to_redis_broke() {
    with_world_as(Backing::Cluster, &[], async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect(&anna).await;
        let seen = a.post(room, "하나").await;
        let mut list = List::open(world.addr(), &bo).await;
        let channel = format!("{}{{room:{room}}}:feed", world.prefix());
        redis::followers_become(&channel, 1).await;
        redis::cut(&format!("{}feeds", world.prefix()), 2).await;
        redis::followers_become(&channel, 1).await;
        // On the other node.
        let other = world.addrs().nth(1).unwrap();
        let mut tab = Client::connect(other, &bo.token).await;
        tab.follow(room).await;
        list.expect(room, |line| line["unread"] == 0 && line["read"].is_null()).await;
        tab.disconnect().await;
        list.expect(room, |line| line["read"] == seen).await;
        list.client.disconnect().await;
        redis::followers_become(&channel, 0).await;
    })
    .await;
}

#[tokio::test]
async fn who_leaves_a_room_while_redis_is_away_is_not_said_to_have_read_what_comes() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let [anna, bo] = [world.person().await, world.person().await];
        let room = world.room(&[&anna, &bo]).await;
        let (proxy, url) = Proxy::start(&testing::server("MOYIZA_TEST_REDIS_URL")).await;
        let node = node(world, &[], world.database_url(), &url).await;
        let mut list = List::open(node.addr(), &bo).await;
        let mut tab = Client::connect(node.addr(), &bo.token).await;
        tab.follow(room).await;
        // Redis has said that he reads.
        list.expect(room, |line| line["unread"] == 0 && line["read"].is_null()).await;
        proxy.cut();
        tab.disconnect().await;
        post(&node, room, &anna, 2).await;
        list.expect(room, |line| line["unread"].is_null() && !line["last"].is_null()).await;
        proxy.heal();
        list.expect(room, |line| line["unread"] == 2).await;
        drop(list);
        stop(node).await;
    })
    .await;
}

#[tokio::test]
async fn without_postgres_a_list_is_refused_and_the_connection_lives_on() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let bo = world.person().await;
        world.room(&[&bo]).await;
        let (proxy, url) = Proxy::start(world.database_url()).await;
        let redis_url = testing::server("MOYIZA_TEST_REDIS_URL");
        let node = node(world, &[], &url, &redis_url).await;
        let mut client = Client::connect(node.addr(), &bo.token).await;
        let errors = [("id", "errors"), ("destination", "/user/queue/errors"), ("receipt", "errors")];
        client.send(Command::Subscribe, &errors, "").await;
        client.expect_receipt("errors").await;
        proxy.cut();
        client.send(Command::Subscribe, &list::subscribe("rooms"), "").await;
        let is_refusal = |frame: &Frame| frame.headers.first("message").is_some();
        let refusal = tokio::time::timeout(Duration::from_mins(1), client.try_expect(is_refusal));
        let refusal = refusal.await.unwrap().unwrap();
        let header = |name| refusal.headers.first(name).map(ToString::to_string);
        assert_eq!(header("message").as_deref(), Some("try again"));
        assert_eq!(header("ended-subscription").as_deref(), Some("rooms"));
        proxy.heal();
        drop(client);
        let list = List::open(node.addr(), &bo).await;
        assert_eq!(list.rooms.len(), 1);
        drop(list);
        stop(node).await;
    })
    .await;
}
