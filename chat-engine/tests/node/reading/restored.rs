//! A database that is behind Redis: it was restored from a backup.

use super::ground::with_ground;

#[tokio::test]
async fn a_cluster_whose_database_has_forgotten_runs_of_redis_counts_right() {
    with_ground(&[], async |ground| {
        let world = ground.world;
        let (people, room) = world.room_of_people().await;
        let members @ [anna, bo, cho] = people.each_ref();
        let mut a = ground.follow(0, anna, room).await;
        let seq = a.post(room, "하나").await;
        a.expect_count(seq, 2).await;
        ground.agree(room, &members, &mut [(anna, &mut a)]).await;
        // Of what this count was for, the database knows nothing.
        ground.redis.ask(&format!("HSET {} generation 9", ground.key(room, "meta"))).await;
        let mut b = ground.follow(1, bo, room).await;
        a.expect_count(seq, 1).await;
        let unread = a.post(room, "둘").await;
        a.expect_count(unread, 1).await;
        ground.agree(room, &members, &mut [(anna, &mut a), (bo, &mut b)]).await;
        // Rooms of that count, of which some may be of yet another Redis, are loaded again.
        let counted = async || -> i64 {
            let query = sqlx::query_scalar("select max(generation) from redis_runs");
            query.fetch_one(&world.pool).await.unwrap()
        };
        assert_eq!(counted().await, 10);
        // One that begins knows the count, and another Redis is counted above it.
        ground.redis.restart_empty().await;
        let mut c = ground.follow(1, cho, room).await;
        a.expect_count(seq, 0).await;
        ground.agree(room, &members, &mut [(anna, &mut a), (bo, &mut b), (cho, &mut c)]).await;
        assert_eq!(counted().await, 11);
    })
    .await;
}
