//! Rooms that are all to be loaded at once.

use shared::testing;

use super::ground::with_ground;
use crate::client::{Client, PATIENCE};

const ROOMS: usize = 24;

#[tokio::test]
async fn a_cluster_whose_redis_is_lost_leaves_the_database_to_others_while_it_loads_rooms() {
    with_ground(&[], async |ground| {
        let world = ground.world;
        let (anna, eve) = (world.person().await, world.person().await);
        let mut rooms = Vec::new();
        let mut a = Client::connect(ground.addr(0), &anna.token).await;
        for _ in 0..ROOMS {
            rooms.push(world.room(&[&anna]).await);
        }
        // She listens, so that nothing is to be written of her.
        for room in &rooms {
            a.listen(*room, 0).await;
        }
        for room in &rooms {
            ground.redis.ask_until(&format!("EXISTS {}", ground.key(*room, "positions")), ":1").await;
        }

        let mut lock = world.pool.begin().await.unwrap();
        sqlx::query("lock table read_positions in access exclusive mode").execute(&mut *lock).await.unwrap();
        ground.redis.restart_empty().await;
        let loading = async || -> i64 {
            let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                           and wait_event_type = 'Lock' and query like '%read_positions as position on%'";
            sqlx::query_scalar(waiting).fetch_one(&world.pool).await.unwrap()
        };
        testing::becomes("rooms to be loaded again", loading, |rooms| *rooms >= 4).await;
        // Whether she is a member, only the database knows.
        let mut stranger = Client::connect(ground.addr(0), &eve.token).await;
        stranger.post_only(rooms[0], "나도", "r").await;
        let refused = tokio::time::timeout(PATIENCE, stranger.expect_only_error()).await;
        assert_eq!(refused.expect("the database is there for her").0, "not a member");
        assert_eq!(loading().await, 4);
        lock.rollback().await.unwrap();
        for room in &rooms {
            ground.redis.ask_until(&format!("EXISTS {}", ground.key(*room, "positions")), ":1").await;
        }
    })
    .await;
}
