//! Who lost a connection comes back with `after`: everything missed and then live, no gap and no repeat, on any node.

mod outages;
mod resumed;

use std::collections::BTreeMap;

use serde_json::json;
use stomp::{Command, Frame};

use crate::{
    client::Client,
    world::{Backing, World, with_world_as},
};

async fn everything_missed_comes_and_then_what_is_said(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    for end in ["disconnect", "close", "drop", "unsubscribe"] {
        let mut b = world.connect_to(&bo, room).await;
        let seen = a.post(room, "둘이 봄").await;
        b.expect_count(seen, 0).await;
        a.expect_count(seen, 0).await;
        let shown = b.counts().clone();
        match end {
            "disconnect" => b.disconnect().await,
            "close" => drop(b.close().await),
            "unsubscribe" => {
                b.send(Command::Unsubscribe, &[("id", "chat"), ("receipt", "u")], "").await;
                b.expect_receipt("u").await;
            }
            _ => drop(b),
        }
        let mut missed = Vec::new();
        for n in 0..3 {
            missed.push(a.post(room, &n.to_string()).await);
        }
        // Bo is gone on every node.
        a.expect_count(missed[2], 1).await;
        let mut b = world.connect_elsewhere(&bo, room, missed[2]).await;
        b.show(&shown);
        let resumed = b.resume(room, seen, 0).await;
        assert_eq!((resumed.seqs(), resumed.recovered), (missed.clone(), Some(true)), "{end}");
        assert_eq!(resumed.order, ["history", "history", "history", "reset", "recovered"], "{end}");
        // And who reads is seen to read: of what was shown before, too.
        for seq in [seen].into_iter().chain(missed) {
            a.expect_count(seq, 0).await;
            b.expect_count(seq, 0).await;
        }
        let live = a.post(room, "다시 둘이").await;
        b.expect_count(live, 0).await;
        b.disconnect().await;
    }
}

async fn counts_of_what_was_shown_before_are_right_after_a_resume(world: &World) {
    let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo, &cy]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut b = world.connect_to(&bo, room).await;
    let first = a.post(room, "셋 중 둘").await;
    b.expect_count(first, 1).await;
    let shown = b.counts().clone();
    b.disconnect().await;
    // Cho reads it while Bo is away, and goes again.
    let mut c = world.connect_to(&cy, room).await;
    a.expect_count(first, 0).await;
    let second = c.post(room, "봤어").await;
    a.expect_count(second, 1).await;
    c.disconnect().await;
    let third = a.post(room, "아무도?").await;
    a.expect_count(third, 2).await;
    let mut b = world.connect_elsewhere(&bo, room, third).await;
    b.show(&shown);
    b.resume(room, first, 0).await;
    b.expect_count(third, 1).await;
    assert_eq!(b.counts(), &BTreeMap::from([(first, 0), (second, 0), (third, 1)]));
}

async fn a_replay_has_what_happened_and_what_is_said_by_now(world: &World) {
    let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let seen = a.post(room, "본 것").await;
    world.join(room, &cy).await;
    a.expect_event("joined").await;
    let (gone, changed) = (a.post(room, "비밀").await, a.post(room, "오타").await);
    let edit = |target: i64, content: &str| (target, json!({ "content": content }).to_string());
    for (target, body) in [edit(changed, "고침"), edit(changed, "또 고침"), edit(gone, "더 큰 비밀")]
    {
        a.change("edit", room, target, &body).await.expect("an edit");
    }
    let deleted = a.change("delete", room, gone, "").await.expect("a deletion");
    world.leave(room, &cy).await;
    let is_left = |frame: &Frame| String::from_utf8_lossy(&frame.body).contains("\"left\"");
    let left = a.try_expect(is_left).await.unwrap();
    let last = left.headers.first("seq").unwrap().parse().unwrap();
    // From memory, and from rows.
    for restarted in [false, true] {
        if restarted {
            world.rows_where(room, "kind = 2", 1).await;
            world.restart().await;
        }
        let mut b = world.connect_elsewhere(&bo, room, last).await;
        let resumed = b.resume(room, seen, 0).await;
        assert_eq!(resumed.recovered, Some(true));
        assert_eq!(resumed.types(), ["joined", "message", "message", "edited", "deleted", "left"]);
        let text = format!("{:?}", resumed.records);
        assert!(!text.contains("비밀"), "deleted, and sent all the same: {text}");
        assert!(!text.contains("\"고침\""), "overtaken, and sent all the same: {text}");
        let body = |at: usize| &resumed.records[at].1;
        assert!(body(1)["deleted"].is_i64() && body(1)["content"].is_null(), "{}", body(1));
        assert_eq!((&body(2)["content"], body(2)["edited"].is_i64()), (&json!("또 고침"), true));
        assert_eq!(resumed.records[4].0, deleted);
        b.disconnect().await;
    }
}

async fn who_was_away_too_long_starts_afresh(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut sent = Vec::new();
    for n in 0..12 {
        sent.push(a.post(room, &n.to_string()).await);
    }
    for restarted in [false, true] {
        if restarted {
            world.rows(room, 12).await;
            world.restart().await;
        }
        // Ten may be missed.
        let mut b = world.connect_elsewhere(&bo, room, sent[11]).await;
        let resumed = b.resume(room, sent[1], 3).await;
        assert_eq!((resumed.seqs(), resumed.recovered), (sent[2..].to_vec(), Some(true)));
        b.disconnect().await;
        let mut b = world.connect_elsewhere(&bo, room, sent[11]).await;
        let resumed = b.resume(room, sent[0], 3).await;
        assert_eq!((resumed.seqs(), resumed.recovered), (sent[9..].to_vec(), Some(false)));
        assert_eq!(resumed.order, ["recovered", "history", "history", "history"]);
        b.disconnect().await;
        let mut b = world.connect_elsewhere(&bo, room, sent[11]).await;
        let resumed = b.resume(room, 0, 0).await;
        assert_eq!((resumed.seqs(), resumed.recovered), (Vec::new(), Some(false)));
    }
}

#[tokio::test]
async fn who_was_away_too_long_starts_afresh_embedded() {
    with_world_as(Backing::Embedded, &["--max-replay", "10"], who_was_away_too_long_starts_afresh).await;
}

#[tokio::test]
async fn who_was_away_too_long_starts_afresh_in_a_cluster() {
    with_world_as(Backing::Cluster, &["--max-replay", "10"], who_was_away_too_long_starts_afresh).await;
}

async fn a_place_that_is_none_is_not_resumed_from(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    let last = a.post(room, "끝").await;
    a.expect_shown().await;
    // Beyond this log, and of a log to come.
    for after in [last + 1_000, last + (1 << 41)] {
        let mut a = world.connect(&anna).await;
        let resumed = a.resume(room, after, 1).await;
        assert_eq!((resumed.seqs(), resumed.recovered), (vec![last], Some(false)));
    }
    let mut a = world.connect(&anna).await;
    let destination = format!("/chat/{room}");
    let headers = [("id", "chat"), ("destination", &*destination), ("after", "-1")];
    a.send(Command::Subscribe, &headers, "").await;
    let (message, text) = a.expect_only_error().await;
    assert_eq!((&*message, &*text), ("bad header", "the header \"after\" is \"-1\": expected a seq"));
}

async fn who_comes_back_again_and_again_sees_everything_once(world: &World) {
    let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo, &cy]).await;
    let mut b = world.connect(&bo).await;
    let mut seen = Vec::new();
    b.follow(room).await;
    let talkers: Vec<_> = [&anna, &cy].map(|person| (world.addr_for(person), person.token.clone())).into();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let talkers: Vec<_> = talkers
        .into_iter()
        .map(|(addr, token)| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let (mut client, mut sent) = (Client::connect(addr, &token).await, Vec::new());
                while !*stopped.borrow() {
                    sent.push(client.post(room, "말").await);
                }
                sent
            })
        })
        .collect();
    let note = |frame: &Frame, seen: &mut Vec<i64>| {
        if let Some(seq) = frame.headers.first("seq").filter(|_| frame.command == Command::Message) {
            seen.push(seq.parse().unwrap());
        }
    };
    for round in 0..50 {
        let enough = seen.len() + 1 + round % 4;
        while seen.len() < enough {
            note(&b.next().await.unwrap(), &mut seen);
        }
        // In turn: cut off, and on the other node.
        let addr = if round % 2 == 0 { world.other_addr(&bo) } else { world.addr_for(&bo) };
        let mut next = Client::connect(addr, &bo.token).await;
        drop(b);
        let resumed = next.resume(room, *seen.last().unwrap(), 0).await;
        assert_eq!(resumed.recovered, Some(true));
        seen.extend(resumed.seqs());
        b = next;
    }
    stop.send(true).unwrap();
    let mut sent = Vec::new();
    for talker in talkers {
        sent.extend(talker.await.unwrap());
    }
    sent.sort_unstable();
    while seen.last() != sent.last() {
        note(&b.next().await.unwrap(), &mut seen);
    }
    assert_eq!(seen, sent);
}

crate::world::on_both_backends!(
    everything_missed_comes_and_then_what_is_said,
    counts_of_what_was_shown_before_are_right_after_a_resume,
    a_replay_has_what_happened_and_what_is_said_by_now,
    a_place_that_is_none_is_not_resumed_from,
    who_comes_back_again_and_again_sees_everything_once,
);
