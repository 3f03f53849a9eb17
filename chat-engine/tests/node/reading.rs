//! Unread counts as people see them. In a cluster every second person is on the other node, and a count may be
//! on its way for a moment; what is asserted is where it comes to rest.

mod again;
mod cost;
mod ended;
mod ground;
mod left;
mod lost;
mod nodes;
mod repeated;
mod restored;
mod silent;
mod way;
mod written;

use serde_json::json;
use stomp::Command;

use crate::{
    redis,
    redis_server::RedisCluster,
    storm,
    world::{Backing, World, with_world_as, with_world_on},
};

async fn a_count_falls_when_somebody_opens_the_room(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let first = a.post(room, "안녕").await;
    a.expect_count(first, 1).await;

    let mut b = world.connect(&bo).await;
    b.follow_with_history(room, 10).await;
    assert_eq!(b.expect_shown().await.content, "안녕");
    a.expect_count(first, 0).await;
    b.expect_count(first, 0).await;

    let second = a.post(room, "반가워").await;
    b.expect_count(second, 0).await;
    a.expect_count(second, 0).await;

    b.disconnect().await;
    let third = a.post(room, "갔어?").await;
    a.expect_count(third, 1).await;

    // Both come back and find what was there: one to read it, the other to have read it.
    a.disconnect().await;
    let mut a = world.connect(&anna).await;
    a.follow_with_history(room, 10).await;
    let shown = [a.expect_shown().await, a.expect_shown().await, a.expect_shown().await];
    assert_eq!(shown.map(|shown| (shown.seq, shown.unread)), [(first, 0), (second, 0), (third, 1)]);
    let mut b = world.connect(&bo).await;
    b.follow_with_history(room, 10).await;
    a.expect_count(third, 0).await;
    b.expect_count(third, 0).await;
}

async fn counts_survive_a_restart(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut b = world.connect_to(&bo, room).await;
    let read = a.post(room, "둘이 봄").await;
    a.expect_count(read, 0).await;
    b.expect_count(read, 0).await;
    b.disconnect().await;
    let unread = a.post(room, "혼자 봄").await;
    a.expect_count(unread, 1).await;
    world.restart().await;

    let mut a = world.connect(&anna).await;
    a.follow_with_history(room, 100).await;
    let shown = [a.expect_shown().await, a.expect_shown().await];
    assert_eq!(shown.map(|shown| (shown.seq, shown.unread)), [(read, 0), (unread, 1)]);
}

async fn one_of_two_tabs_goes_on_reading(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let first_tab = world.connect_to(&bo, room).await;
    let mut second_tab = world.connect_to(&bo, room).await;
    let seq = a.post(room, "둘 다 열려 있네").await;
    a.expect_count(seq, 0).await;
    first_tab.disconnect().await;
    // Twice on one connection, and one of them ended, is reading still.
    let destination = format!("/chat/{room}");
    let headers = [("id", "again"), ("destination", &*destination), ("receipt", "r")];
    second_tab.send(Command::Subscribe, &headers, "").await;
    second_tab.expect_receipt("r").await;
    second_tab.send(Command::Unsubscribe, &[("id", "again"), ("receipt", "u")], "").await;
    second_tab.expect_receipt("u").await;
    // What would show Bo as gone comes before this: the same node counts for both of them.
    let mut witness = world.connect_to(&bo, room).await;
    let seq = witness.post(room, "아직 보고 있어").await;
    witness.disconnect().await;
    a.expect_count(seq, 0).await;
    let seq = a.post(room, "그렇지?").await;
    second_tab.expect_count(seq, 0).await;
    a.expect_count(seq, 0).await;
}

async fn an_alarm_is_not_reading(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut b = world.connect(&bo).await;
    b.listen(room, 0).await;
    let seq = a.post(room, "알림만").await;
    let frame = b.expect(Command::Message).await;
    assert_eq!(frame.headers.first("destination").unwrap(), &*format!("/chatalarm/{room}"));
    b.expect_count(seq, 1).await;
    a.expect_count(seq, 1).await;
}

async fn who_answers_has_read_what_came_before(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let question = a.post(room, "있어?").await;
    a.expect_count(question, 1).await;
    // Without having opened the room.
    let mut b = world.connect(&bo).await;
    let answer = b.post(room, "응").await;
    a.expect_count(question, 0).await;
    a.expect_count(answer, 0).await;
}

async fn a_new_member_has_nothing_unread_and_one_who_left_does_not_count(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    let alone = a.post(room, "혼자").await;
    a.expect_count(alone, 0).await;
    world.join(room, &bo).await;
    assert_eq!(a.expect_event("joined").await["user"], json!(bo.id));
    let seq = a.post(room, "어서 와").await;
    a.expect_count(seq, 1).await;
    a.expect_count(alone, 0).await;
    world.leave(room, &bo).await;
    assert_eq!(a.expect_event("left").await["user"], json!(bo.id));
    a.expect_count(seq, 0).await;
    let seq = a.post(room, "갔네").await;
    a.expect_count(seq, 0).await;
}

async fn older_messages_come_in_pages(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut sent = Vec::new();
    for n in 0..25 {
        sent.push(a.post(room, &n.to_string()).await);
        a.expect_shown().await;
    }
    let (destination, mut before, mut found) = (format!("/app/history/{room}"), i64::MAX, Vec::new());
    for page in [10, 10, 5, 0] {
        let oldest = before.to_string();
        let headers =
            [("destination", &*destination), ("before", &oldest), ("limit", "10"), ("receipt", "page")];
        a.send(Command::Send, &headers, "").await;
        a.expect_receipt("page").await;
        let mut seqs = Vec::new();
        for _ in 0..page {
            seqs.push(a.expect_shown().await.seq);
        }
        before = seqs.first().copied().unwrap_or(before);
        found.splice(0..0, seqs);
    }
    assert_eq!(found, sent);
}

#[tokio::test]
async fn a_cluster_follows_positions_again_after_its_connection_broke() {
    with_world_as(Backing::Cluster, &[], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut b = world.connect_to(&bo, room).await;
        let seq = a.post(room, "둘이 봄").await;
        a.expect_count(seq, 0).await;
        let channel = format!("{}{{room:{room}}}:feed", world.prefix());
        redis::followers_become(&channel, 2).await;
        let resets = a.resets();
        redis::cut(&format!("{}feeds", world.prefix()), 2).await;
        redis::followers_become(&channel, 2).await;
        b.expect_count(seq, 0).await;
        b.disconnect().await;
        let unread = a.post(room, "갔어?").await;
        a.expect_count(unread, 1).await;
        assert_eq!(a.resets(), resets, "what was missed is asked for, and nothing else");
    })
    .await;
}

/// All keys of a room are in one slot, and its changes come from the server that has it.
#[tokio::test]
async fn all_of_it_on_a_redis_cluster() {
    let redis = RedisCluster::start().await;
    macro_rules! each {
        ($($test:path),* $(,)?) => {
            $(with_world_on(Some(&redis.url()), Backing::Cluster, &[], $test).await;)*
        };
    }
    each!(
        a_count_falls_when_somebody_opens_the_room,
        counts_survive_a_restart,
        one_of_two_tabs_goes_on_reading,
        an_alarm_is_not_reading,
        who_answers_has_read_what_came_before,
        a_new_member_has_nothing_unread_and_one_who_left_does_not_count,
        rooms_of_every_server_are_read,
        storm::after_a_storm_every_tab_shows_the_same,
    );
    for server in &redis.servers {
        let calls = server.ask("INFO commandstats").await;
        assert!(calls.contains("cmdstat_fcall:"), "every server has rooms: {calls}");
    }
}

async fn rooms_of_every_server_are_read(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    for _ in 0..20 {
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let seq = a.post(room, "어디에 있든").await;
        a.expect_count(seq, 1).await;
        let b = world.connect_to(&bo, room).await;
        a.expect_count(seq, 0).await;
        b.disconnect().await;
    }
}

crate::world::on_both_backends!(
    a_count_falls_when_somebody_opens_the_room,
    counts_survive_a_restart,
    one_of_two_tabs_goes_on_reading,
    an_alarm_is_not_reading,
    who_answers_has_read_what_came_before,
    a_new_member_has_nothing_unread_and_one_who_left_does_not_count,
    older_messages_come_in_pages,
);
