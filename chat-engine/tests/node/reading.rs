//! Unread counts as people see them.

use serde_json::json;
use stomp::Command;

use crate::{client::Shown, world::with_world};

#[tokio::test]
async fn a_count_falls_when_somebody_opens_the_room() {
    with_world(async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;

        let seq = a.post(room, "안녕").await;
        assert_eq!(a.expect_shown().await, Shown { seq, unread: 1, content: "안녕".into() });

        let mut b = world.connect(&bo).await;
        b.follow_with_history(room, 10).await;
        // As of the moment it was sent to them: they become a reader right behind it.
        assert_eq!(b.expect_shown().await, Shown { seq, unread: 1, content: "안녕".into() });
        assert_eq!(a.expect_change(seq).await, -1);
        assert_eq!(b.expect_change(seq).await, -1);

        let second = a.post(room, "반가워").await;
        assert_eq!(b.expect_shown().await, Shown { seq: second, unread: 0, content: "반가워".into() });

        b.disconnect().await;
        let third = a.post_until_unread(room, 1).await;

        // Everybody comes back and finds what was there.
        a.disconnect().await;
        let mut a = world.connect(&anna).await;
        a.follow_with_history(room, 10).await;
        let shown = [a.expect_shown().await, a.expect_shown().await];
        assert_eq!(shown.map(|shown| (shown.seq, shown.unread)), [(seq, 0), (second, 0)]);
        let mut last = a.expect_shown().await;
        while last.seq < third {
            last = a.expect_shown().await;
        }
        assert_eq!((last.seq, last.unread), (third, 1));
    })
    .await;
}

#[tokio::test]
async fn counts_survive_a_restart() {
    with_world(async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let b = world.connect_to(&bo, room).await;
        let read = a.post(room, "둘이 봄").await;
        b.disconnect().await;
        let unread = a.post_until_unread(room, 1).await;
        world.restart().await;

        let mut a = world.connect(&anna).await;
        a.follow_with_history(room, 100).await;
        let first = a.expect_shown().await;
        assert_eq!((first.seq, first.unread), (read, 0));
        let mut last = first;
        while last.seq < unread {
            last = a.expect_shown().await;
        }
        assert_eq!((last.seq, last.unread), (unread, 1));
    })
    .await;
}

#[tokio::test]
async fn one_of_two_tabs_goes_on_reading() {
    with_world(async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let first_tab = world.connect_to(&bo, room).await;
        let mut second_tab = world.connect_to(&bo, room).await;
        first_tab.disconnect().await;
        // Twice on one connection, and one of them ended, is reading still.
        let destination = format!("/chat/{room}");
        let headers = [("id", "again"), ("destination", &*destination), ("receipt", "r")];
        second_tab.send(Command::Subscribe, &headers, "").await;
        second_tab.expect_receipt("r").await;
        second_tab.send(Command::Unsubscribe, &[("id", "again"), ("receipt", "u")], "").await;
        second_tab.expect_receipt("u").await;
        a.post(room, "아직 보고 있지?").await;
        assert_eq!(a.expect_shown().await.unread, 0);
    })
    .await;
}

#[tokio::test]
async fn an_alarm_is_not_reading() {
    with_world(async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut b = world.connect(&bo).await;
        let destination = format!("/chatalarm/{room}");
        let headers = [("id", "alarm"), ("destination", &*destination), ("receipt", "r")];
        b.send(Command::Subscribe, &headers, "").await;
        b.expect_receipt("r").await;
        a.post(room, "알림만").await;
        assert_eq!(b.expect_shown().await.unread, 1);
        assert_eq!(a.expect_shown().await.unread, 1);
    })
    .await;
}

#[tokio::test]
async fn who_answers_has_read_what_came_before() {
    with_world(async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let seq = a.post(room, "있어?").await;
        assert_eq!(a.expect_shown().await.unread, 1);
        // Without having opened the room.
        let mut b = world.connect(&bo).await;
        let answer = b.post(room, "응").await;
        assert_eq!(a.expect_change(seq).await, -1);
        let shown = a.expect_shown().await;
        assert_eq!((shown.seq, shown.unread), (answer, 0));
    })
    .await;
}

#[tokio::test]
async fn a_new_member_has_nothing_unread_and_one_who_left_does_not_count() {
    with_world(async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna]).await;
        let mut a = world.connect_to(&anna, room).await;
        a.post(room, "혼자").await;
        assert_eq!(a.expect_shown().await.unread, 0);
        world.join(room, &bo).await;
        assert_eq!(a.expect_event("joined").await["user"], json!(bo.id));
        let seq = a.post(room, "어서 와").await;
        assert_eq!(a.expect_shown().await.unread, 1);
        world.leave(room, &bo).await;
        assert_eq!(a.expect_event("left").await["user"], json!(bo.id));
        assert_eq!(a.expect_change(seq).await, -1);
        a.post(room, "갔네").await;
        assert_eq!(a.expect_shown().await.unread, 0);
    })
    .await;
}

#[tokio::test]
async fn older_messages_come_in_pages() {
    with_world(async |world| {
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
    })
    .await;
}
