//! Calls whose answers were lost are made again, and calls that were given up come late.

use super::ground::{readers, with_ground};

#[tokio::test]
async fn a_call_of_a_cluster_that_is_made_twice_counts_once() {
    with_ground(&[], async |ground| {
        let world = ground.world;
        let (people, room) = world.room_of_people().await;
        let members @ [anna, bo, cho] = people.each_ref();
        let mut a = ground.follow(0, anna, room).await;
        // The room is open on Bo's node, too.
        let mut c = ground.follow(1, cho, room).await;
        let seq = a.post(room, "하나").await;
        a.expect_count(seq, 1).await;
        c.expect_count(seq, 1).await;
        // What the sender's record told is over.
        ground.agree(room, &members, &mut [(anna, &mut a), (cho, &mut c)]).await;
        let version = async || ground.redis.ask(&format!("HGET {} version", ground.key(room, "meta"))).await;
        let before = version().await;

        let way = &ground.ways[1];
        way.lose_answers();
        let mut b = ground.follow(1, bo, room).await;
        ground.reads(room, bo, true).await;
        let entered = version().await;
        way.cut();
        a.expect_count(seq, 0).await;
        ground.agree(room, &members, &mut [(anna, &mut a), (bo, &mut b), (cho, &mut c)]).await;
        assert_ne!(entered, before);
        assert_eq!(version().await, entered, "the second time it changes nothing");
        let reading = readers(&ground.redis, world.prefix(), room).await;
        assert_eq!(reading[&bo.id.get()], 1, "nor has one to leave twice: {reading:?}");

        way.lose_answers();
        b.disconnect().await;
        ground.reads(room, bo, false).await;
        let left = version().await;
        way.cut();
        let unread = a.post(room, "둘").await;
        a.expect_count(unread, 1).await;
        ground.agree(room, &members, &mut [(anna, &mut a), (cho, &mut c)]).await;
        assert_ne!(left, entered);
        assert_eq!(version().await, left, "nor does this");
    })
    .await;
}

#[tokio::test]
async fn a_call_of_a_cluster_that_comes_when_more_was_said_since_is_not_heard() {
    with_ground(&[], async |ground| {
        let world = ground.world;
        let (people, room) = world.room_of_people().await;
        let members @ [anna, bo, cho, dan] = people.each_ref();
        let mut a = ground.follow(0, anna, room).await;
        let mut c = ground.follow(1, cho, room).await;
        let b = ground.follow(1, bo, room).await;
        ground.reads(room, bo, true).await;
        let seq = a.post(room, "하나").await;
        a.expect_count(seq, 1).await;

        // That Bo leaves is said on a connection that is given up; again on another; then he comes back.
        let way = &ground.ways[1];
        way.hold();
        b.disconnect().await;
        way.keeps(b"moyiza_leave").await;
        way.cut();
        ground.reads(room, bo, false).await;
        let mut b = ground.follow(1, bo, room).await;
        ground.reads(room, bo, true).await;
        // It arrives after all.
        way.release().await;
        let seq = a.post(room, "둘").await;
        a.expect_count(seq, 1).await;
        let tabs = &mut [(anna, &mut a), (bo, &mut b), (cho, &mut c)];
        ground.agree(room, &members, tabs).await;

        // That Dan reads is said late: he has left again.
        way.hold();
        let d = ground.follow(1, dan, room).await;
        way.keeps(b"moyiza_enter").await;
        way.cut();
        ground.reads(room, dan, true).await;
        d.disconnect().await;
        ground.reads(room, dan, false).await;
        way.release().await;
        let seq = a.post(room, "셋").await;
        a.expect_count(seq, 1).await;
        let tabs = &mut [(anna, &mut a), (bo, &mut b), (cho, &mut c)];
        ground.agree(room, &members, tabs).await;
    })
    .await;
}
