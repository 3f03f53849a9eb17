//! What rows do to positions, whatever happens in between.

use std::time::Duration;

use fred::{
    interfaces::ClientLike as _,
    types::{Builder, CustomCommand, config::Config},
};
use shared::{UserId, testing};

use super::{expect_rows, node, post, stop};
use crate::{
    client::{Client, PATIENCE},
    proxy::Proxy,
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
        let redis = Builder::from_config(Config::from_url(&server).unwrap()).build().unwrap();
        redis.init().await.unwrap();
        let position = async |user: UserId| {
            let key = format!("{}{{room:{room}}}:positions", world.prefix());
            let score = CustomCommand::new_static("ZSCORE", None::<u16>, false);
            redis.custom::<Option<i64>, _>(score, vec![key, user.to_string()]).await.unwrap()
        };
        let mut seqs = post(&node, room, &anna, 5).await;
        let told = async |seq: i64| {
            let told = async {
                while position(anna.id).await != Some(seq) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, told).await.expect("Redis is told");
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
