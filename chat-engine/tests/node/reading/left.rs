//! Rooms that are closed while their positions are on the way.

use shared::testing;

use super::ground::with_ground;
use crate::client::Client;

#[tokio::test]
async fn a_room_that_a_cluster_closes_while_it_catches_up_is_not_followed_any_more() {
    with_ground(&["--reading-check-ms", "600000"], async |ground| {
        let (world, redis) = (ground.world, &ground.redis);
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        // She only listens, so that nothing is said of her when she leaves.
        let mut listener = Client::connect(ground.addr(0), &anna.token).await;
        listener.listen(room, 0).await;
        let seq = listener.post(room, "안녕").await;
        listener.expect_count(seq, 1).await;
        let channel = ground.key(room, "feed");
        let followers = format!("PUBSUB SHARDNUMSUB {channel}");
        redis.report_until(&followers, ":1").await;

        // The room begins another life, which is gone when somebody asks for what changed; and nobody is answered for now.
        let follows = async || {
            let stats = redis.ask("INFO commandstats").await;
            let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_ssubscribe:calls="));
            calls.and_then(|calls| calls.split(',').next()?.parse::<u64>().ok()).unwrap()
        };
        let before = follows().await;
        let names = ["positions", "active", "meta", "changes", "checkpoints"];
        let keys = names.map(|name| ground.key(room, name)).join(" ");
        let meta = ground.key(room, "meta");
        redis.ask(&format!("DEL {keys}\r\nSPUBLISH {channel} \"77 1\"\r\nCLIENT PAUSE 60000 WRITE")).await;
        testing::until("the node to catch up", async || follows().await != before).await;
        listener.disconnect().await;
        redis.report_until(&followers, ":0").await;
        redis.ask("CLIENT UNPAUSE").await;
        // What was on its way goes on to its end.
        redis.ask_until(&format!("EXISTS {meta}"), ":1").await;
        assert!(redis.ask(&followers).await.contains(":0"), "nobody forgets it a second time");
    })
    .await;
}
