//! Redis loses everything, or what was written last, while people chat: when it is quiet again, all counts are right.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::ground::{Ground, with_ground};
use crate::{client::Client, redis_server::RedisServer};

/// What becomes of Redis.
enum Loss {
    /// FLUSHALL.
    Flushed,
    /// Killed, and started again with nothing: not even with the functions.
    Emptied,
    /// Killed, and started again with what it had some time ago.
    Older,
    /// A replica that lacks the last writes takes its place.
    FailedOver,
}

/// Redis as it will be.
async fn prepare(loss: &Loss, ground: &Ground<'_>) -> Option<RedisServer> {
    match loss {
        Loss::Flushed | Loss::Emptied => None,
        Loss::Older => {
            ground.redis.save().await;
            None
        }
        Loss::FailedOver => {
            ground.redis.ask("CONFIG SET repl-diskless-sync-delay 0").await;
            let port = ground.redis.port().to_string();
            let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]).await;
            replica.report_until("INFO replication", "master_link_status:up").await;
            // From here on it misses everything.
            replica.ask("REPLICAOF NO ONE").await;
            Some(replica)
        }
    }
}

async fn lose(loss: Loss, replica: Option<RedisServer>, ground: &mut Ground<'_>) {
    match loss {
        Loss::Flushed => drop(ground.redis.ask("FLUSHALL").await),
        Loss::Emptied => ground.redis.restart_empty().await,
        Loss::Older => ground.redis.restart().await,
        Loss::FailedOver => {
            let replica = replica.expect("it was prepared");
            for way in &ground.ways {
                way.lead_to(replica.port());
            }
            // And the other one ends.
            ground.redis = replica;
            for way in &ground.ways {
                way.cut();
            }
        }
    }
}

/// Talks until it is told that Redis is another one, and a little longer.
async fn talk(client: &mut Client, room: i64, lost: &AtomicBool) {
    let mut after = 0;
    for n in 0..120 {
        client.post(room, &format!("말 {n}")).await;
        // As people do who have something to say: the pace is what the test is about.
        tokio::time::sleep(Duration::from_millis(20)).await;
        after += u32::from(lost.load(Ordering::Relaxed));
        if after == 10 {
            break;
        }
    }
}

async fn people_chat_meanwhile(loss: Loss) {
    with_ground(&[], async |ground| {
        let world = ground.world;
        let mut people = Vec::new();
        for _ in 0..6 {
            people.push(world.person().await);
        }
        let members: Vec<_> = people.iter().collect();
        let [anna, bo, cho, dan, eve, fay] = &*members else { panic!("six were asked for") };
        let room = world.room(&members).await;
        let mut annas = ground.follow(0, anna, room).await;
        let mut bos = ground.follow(1, bo, room).await;
        let (mut chos, mut chos_other) =
            (ground.follow(0, cho, room).await, ground.follow(1, cho, room).await);
        for n in 0..5 {
            annas.post(room, &format!("처음 {n}")).await;
        }
        let replica = prepare(&loss, ground).await;
        // What only those know who are to be lost: Dan has read everything, Bo reads no more, Eve does.
        let mut dans = ground.follow(1, dan, room).await;
        let read = annas.post(room, "단은 읽었다").await;
        // Eve and Fay have not.
        dans.expect_count(read, 2).await;
        bos.expect_count(read, 2).await;
        dans.disconnect().await;
        bos.disconnect().await;
        ground.reads(room, dan, false).await;
        ground.reads(room, bo, false).await;
        let mut eves = ground.follow(0, eve, room).await;
        ground.reads(room, eve, true).await;

        let is_lost = AtomicBool::new(false);
        tokio::join!(talk(&mut annas, room, &is_lost), async {
            lose(loss, replica, ground).await;
            is_lost.store(true, Ordering::Relaxed);
        });
        let mut tabs = [(*anna, &mut annas), (*cho, &mut chos), (*cho, &mut chos_other), (*eve, &mut eves)];
        ground.agree(room, &members, &mut tabs).await;
        for left in [dan, bo] {
            let score = format!("ZSCORE {} {}", ground.key(room, "positions"), left.id);
            let position = ground.redis.ask(&score).await;
            assert!(position.contains(&read.to_string()), "what was read is read: {position}, {read}");
        }

        // It goes on: somebody goes, somebody comes.
        let mut fays = ground.follow(1, fay, room).await;
        chos_other.disconnect().await;
        eves.disconnect().await;
        let last = annas.post(room, "그리고").await;
        annas.expect_count(last, 3).await;
        ground.agree(room, &members, &mut [(*anna, &mut annas), (*cho, &mut chos), (*fay, &mut fays)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_cluster_whose_redis_is_flushed_counts_right() {
    people_chat_meanwhile(Loss::Flushed).await;
}

#[tokio::test]
async fn a_cluster_whose_redis_is_restarted_empty_counts_right() {
    people_chat_meanwhile(Loss::Emptied).await;
}

#[tokio::test]
async fn a_cluster_whose_redis_is_restarted_with_older_data_counts_right() {
    people_chat_meanwhile(Loss::Older).await;
}

#[tokio::test]
async fn a_cluster_whose_redis_fails_over_to_one_that_lacks_writes_counts_right() {
    people_chat_meanwhile(Loss::FailedOver).await;
}

/// Only who lives is lost: nobody else clears away what the nodes were before.
#[tokio::test]
async fn a_cluster_whose_nodes_are_somebody_else_all_at_once_counts_nobody_twice() {
    with_ground(&[], async |ground| {
        let world = ground.world;
        let (anna, bo) = (world.person().await, world.person().await);
        let (members, nodes) = ([&anna, &bo], format!("{}{{nodes}}:living", world.prefix()));
        let room = world.room(&members).await;
        let mut a = ground.follow(0, &anna, room).await;
        let mut b = ground.follow(1, &bo, room).await;
        let seq = a.post(room, "하나").await;
        a.expect_count(seq, 0).await;
        b.expect_count(seq, 0).await;
        ground.redis.ask_until(&format!("ZCARD {nodes}"), ":2").await;
        ground.redis.ask(&format!("DEL {nodes}")).await;
        ground.redis.ask_until(&format!("ZCARD {nodes}"), ":2").await;
        ground.agree(room, &members, &mut [(&anna, &mut a), (&bo, &mut b)]).await;
        b.disconnect().await;
        let unread = a.post(room, "둘").await;
        a.expect_count(unread, 1).await;
        ground.agree(room, &members, &mut [(&anna, &mut a)]).await;
    })
    .await;
}
