//! Rooms of meetups that are deleted.

use shared::event::MeetupEvent;

use crate::{
    redis_server::RedisServer,
    world::{Backing, meetup, with_world_on},
};

#[tokio::test]
async fn of_a_room_that_was_closed_nothing_is_kept_in_the_redis_of_a_cluster() {
    let redis = RedisServer::start().await;
    with_world_on(Some(&redis.url()), Backing::Cluster, &[], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut tabs = [world.connect_to(&anna, room).await, world.connect_to(&bo, room).await];
        let seq = tabs[0].post(room, "마지막").await;
        for tab in &mut tabs {
            tab.expect_count(seq, 0).await;
        }
        let key = |name: &str| format!("{}{{room:{room}}}:{name}", world.prefix());
        let keys = ["positions", "active", "meta", "changes", "checkpoints"].map(key);
        redis.ask_until(&format!("EXISTS {} {}", keys[1], keys[2]), ":2").await;
        sqlx::query("update chat_rooms set closed_at = now() where id = $1")
            .bind(room)
            .execute(&world.pool)
            .await
            .unwrap();
        world.tell(MeetupEvent::MeetupDeleted { meetup: meetup(room) }).await;
        redis.ask_until(&format!("EXISTS {}", keys.join(" ")), ":0").await;
    })
    .await;
}
