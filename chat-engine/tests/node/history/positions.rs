//! What rows do to positions, whatever happens in between.

use shared::testing;

use super::{expect_rows, node, post, stop};
use crate::{
    client::Client,
    proxy::Proxy,
    redis,
    world::{Backing, World, with_world_as},
};

#[tokio::test]
async fn rows_of_a_cluster_do_not_wait_for_redis_and_redis_hears_of_them_later() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let server = testing::server("MOYIZA_TEST_REDIS_URL");
        let (proxy, url) = Proxy::start(&server).await;
        let node = node(world, &["--history-batch", "20"], world.database_url(), &url).await;
        let mut client = Client::connect(node.addr(), &bo.token).await;
        client.follow(room).await;
        let position = format!("ZSCORE {}{{room:{room}}}:positions {}", world.prefix(), anna.id);
        let mut seqs = post(&node, room, &anna, 5).await;
        let told = async |seq: i64| {
            let seq = seq.to_string();
            redis::answer_becomes(&position, |answer| answer.lines().any(|line| line == seq)).await;
        };
        told(*seqs.last().unwrap()).await;
        proxy.cut();
        // Far more than wait in memory for Redis.
        for _ in 0..10 {
            seqs.extend(post(&node, room, &anna, 50).await);
            expect_rows(world, room, &seqs).await;
        }
        proxy.heal();
        told(*seqs.last().unwrap()).await;
        seqs.extend(post(&node, room, &anna, 5).await);
        told(*seqs.last().unwrap()).await;
        expect_rows(world, room, &seqs).await;
        drop(client);
        stop(node).await;
    })
    .await;
}
