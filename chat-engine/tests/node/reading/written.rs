//! What who reads on has read is written down now and then: it is there however many die at once.

use shared::testing;

use crate::{
    crash::{Node, two_apart},
    redis_server::RedisServer,
    world::{Backing, Person, World, with_world_as},
};

/// Often enough for a test.
const OFTEN: [&str; 2] = ["--reading-journal-ms", "200"];

/// Waits until the database knows that somebody has read up to there.
async fn written(world: &World, room: i64, person: &Person, seq: i64) {
    let query = "select seq from read_positions where room_id = $1 and user_id = $2";
    let look = async || -> i64 {
        sqlx::query_scalar(query).bind(room).bind(person.id).fetch_one(&world.pool).await.unwrap()
    };
    testing::becomes("who reads on to be written down", look, |row| *row >= seq).await;
}

async fn who_reads_on_is_written_down(backing: Backing) {
    with_world_as(backing, &OFTEN, async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut b = world.connect_to(&bo, room).await;
        for n in 0..2 {
            let seq = a.post(room, &format!("말 {n}")).await;
            b.expect_count(seq, 0).await;
            written(world, room, &bo, seq).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_reads_on_is_written_down_embedded() {
    who_reads_on_is_written_down(Backing::Embedded).await;
}

#[tokio::test]
async fn who_reads_on_is_written_down_in_a_cluster() {
    who_reads_on_is_written_down(Backing::Cluster).await;
}

#[tokio::test]
async fn who_read_on_a_dead_node_has_read_it_when_redis_is_lost_as_well() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let mut redis = RedisServer::start().await;
        let url = redis.url();
        let (mut doomed, survivor) =
            tokio::join!(Node::start_with(world, &url, &OFTEN), Node::start_on(world, &url));
        let ([_, bo], room, [mut a, mut b]) = two_apart(world, [&survivor, &doomed]).await;
        let read = a.post(room, "둘이 봄").await;
        b.expect_count(read, 0).await;
        written(world, room, &bo, read).await;
        doomed.process.kill().await.unwrap();
        let unread = a.post(room, "거기 있어?").await;
        // Bo is out, and stands where the node had last said.
        a.expect_count(unread, 1).await;
        redis.restart_empty().await;
        let bos = format!("ZSCORE {}{{room:{room}}}:positions {}", world.prefix(), bo.id);
        redis.ask_until(&bos, &read.to_string()).await;
        drop((b, survivor));
    })
    .await;
}
