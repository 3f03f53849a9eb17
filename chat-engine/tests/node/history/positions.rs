//! What rows do to positions, in the database and in Redis, whatever happens in between.

use std::time::Duration;

use fred::{
    interfaces::{ClientLike as _, FunctionInterface as _},
    types::{Builder, config::Config},
};
use shared::{UserId, testing};

use super::{expect_rows, node, partition, plain_node, post, stop};
use crate::{
    client::{Client, PATIENCE},
    proxy::Proxy,
    world::{Backing, World, with_world_as},
};

/// Positions are written beside their rows: one transaction may be lost without the other.
#[tokio::test]
async fn positions_of_a_cluster_that_a_crash_left_behind_come_when_their_rows_are_read_again() {
    with_world_as(Backing::ProcessesOnly, &[], async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let first = plain_node(world).await;
        let seqs = post(&first, room, &anna, 5).await;
        expect_rows(world, room, &seqs).await;
        stop(first).await;
        let crash =
            "update log_progress set told_offset = next_offset - 5 where partition = $1 and next_offset = 5";
        let untold = sqlx::query(crash).bind(partition(room)).execute(&world.pool).await.unwrap();
        assert_eq!(untold.rows_affected(), 1);
        sqlx::query("update read_positions set seq = 0 where room_id = $1")
            .bind(room)
            .execute(&world.pool)
            .await
            .unwrap();
        let second = plain_node(world).await;
        let position = async |user: UserId| -> i64 {
            sqlx::query_scalar("select seq from read_positions where room_id = $1 and user_id = $2")
                .bind(room)
                .bind(user)
                .fetch_one(&world.pool)
                .await
                .unwrap()
        };
        let moved = async {
            while position(anna.id).await != *seqs.last().unwrap() {
                // Nobody announces it.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, moved).await.expect("the sender's position");
        assert_eq!(position(bo.id).await, 0, "who said nothing stays");
        expect_rows(world, room, &seqs).await;
        stop(second).await;
    })
    .await;
}

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
            let tag = format!("{}{{room:{room}}}", world.prefix());
            let keys: Vec<_> =
                ["positions", "active", "meta", "changes"].map(|key| format!("{tag}:{key}")).into();
            let answer: Vec<String> =
                redis.fcall("moyiza_snapshot", keys, Vec::<String>::new()).await.unwrap();
            let mut members =
                answer[1..].chunks(2).map(|pair| (pair[0].clone(), pair[1].parse::<i64>().unwrap()));
            members.find(|(member, _)| *member == user.to_string()).map(|(_, position)| position)
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
