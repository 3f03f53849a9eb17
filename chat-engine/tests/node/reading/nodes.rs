//! Nodes that die, and nodes that only seem to.

use std::time::Duration;

use super::ground::{agree, follow, readers};
use crate::{
    crash::Node,
    redis_server::{RedisServer, signal},
    world::{Backing, with_world_as},
};

/// Until then whoever read on a dead node reads no more.
const TAKE_OVER: Duration = Duration::from_secs(30);

#[tokio::test]
async fn who_read_on_a_killed_node_of_a_cluster_is_inactive_in_time_and_who_reads_elsewhere_too_is_not() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let (mut doomed, survivor) = tokio::join!(Node::start_on(world, &url), Node::start_on(world, &url));
        let (anna, bo, cho) = (world.person().await, world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo, &cho]).await;
        let mut a = follow(survivor.addr, &anna, room).await;
        let mut b = follow(doomed.addr, &bo, room).await;
        let mut c = follow(survivor.addr, &cho, room).await;
        let _there = follow(doomed.addr, &cho, room).await;
        let read = a.post(room, "셋이 봄").await;
        a.expect_count(read, 0).await;
        b.expect_count(read, 0).await;

        doomed.process.kill().await.unwrap();
        let unread = a.post(room, "보는 몰라").await;
        let inactive = tokio::time::timeout(TAKE_OVER, a.expect_count(unread, 1)).await;
        inactive.expect("Bo reads no more");
        agree(
            &redis,
            world.prefix(),
            &[survivor.addr],
            room,
            &[&anna, &bo, &cho],
            &mut [(&anna, &mut a), (&cho, &mut c)],
        )
        .await;
        let living = redis.ask(&format!("ZCARD {}{{nodes}}:living", world.prefix())).await;
        assert!(living.starts_with(":1\r"), "{living}");
        let listed = redis.ask(&format!("KEYS {}{{nodes}}:*", world.prefix())).await;
        assert_eq!(listed.matches(":rooms:").count(), 1, "nothing is left of the dead: {listed}");
        drop(survivor);
    })
    .await;
}

#[tokio::test]
async fn a_node_of_a_cluster_that_was_stopped_past_its_lease_counts_nobody_wrong_afterwards() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let redis = RedisServer::start().await;
        let url = redis.url();
        let (stopped, other) = tokio::join!(Node::start_on(world, &url), Node::start_on(world, &url));
        let (anna, bo, cho, dan) =
            (world.person().await, world.person().await, world.person().await, world.person().await);
        let members = [&anna, &bo, &cho, &dan];
        let room = world.room(&members).await;
        let mut a = follow(other.addr, &anna, room).await;
        let mut b = follow(stopped.addr, &bo, room).await;
        let mut c = follow(other.addr, &cho, room).await;
        let there = follow(stopped.addr, &cho, room).await;
        let d = follow(stopped.addr, &dan, room).await;
        let read = a.post(room, "모두 봄").await;
        a.expect_count(read, 0).await;
        b.expect_count(read, 0).await;

        signal(&stopped.process, "STOP").await;
        let unread = a.post(room, "보와 단은 나중에").await;
        a.expect_count(unread, 2).await;
        // Dan closes his tab, of which the node hears when it goes on.
        drop(d);
        let while_stopped = a.post(room, "아직도").await;
        a.expect_count(while_stopped, 2).await;
        signal(&stopped.process, "CONT").await;
        a.expect_count(while_stopped, 1).await;
        let nodes = [stopped.addr, other.addr];
        let tabs = &mut [(&anna, &mut a), (&bo, &mut b), (&cho, &mut c)];
        agree(&redis, world.prefix(), &nodes, room, &members, tabs).await;
        let reading = readers(&redis, world.prefix(), room).await;
        assert_eq!(reading[&cho.id.get()], 2, "on both nodes, and on none that is no more: {reading:?}");
        assert_eq!(reading[&bo.id.get()], 1, "{reading:?}");

        // Nobody goes on reading who has left.
        b.disconnect().await;
        there.disconnect().await;
        let last = a.post(room, "잘 가").await;
        a.expect_count(last, 2).await;
        let tabs = &mut [(&anna, &mut a), (&cho, &mut c)];
        agree(&redis, world.prefix(), &nodes, room, &members, tabs).await;
        let reading = readers(&redis, world.prefix(), room).await;
        assert_eq!(reading[&cho.id.get()], 1, "{reading:?}");
        drop((stopped, other));
    })
    .await;
}
