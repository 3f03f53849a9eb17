//! Resuming where something is away, behind, or in demand by everybody at once.

use std::collections::BTreeMap;

use serde_json::Value;
use stomp::Command;

use super::resumed::Resumed;
use crate::{
    client::Client,
    world::{Backing, World, metric, with_world_as},
};

async fn many_who_come_back_at_once_read_once(world: &World) {
    const CONNECTIONS: usize = 40;
    const SUBSCRIPTIONS: usize = 25;
    const MISSED: usize = 20;
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut sent = Vec::new();
    for n in 0..=MISSED {
        sent.push(a.post(room, &n.to_string()).await);
    }
    world.rows(room, MISSED + 1).await;
    world.restart().await;
    // Nothing is in memory, and everybody is on one node.
    let addr = world.addr();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(addr, &bo.token).await);
    }
    for client in &mut clients {
        for n in 0..SUBSCRIPTIONS {
            client.ask_to_resume(&format!("s{n}"), room, sent[0], 0).await;
        }
    }
    for client in &mut clients {
        let (mut seen, mut receipts) = (BTreeMap::<String, Vec<i64>>::new(), 0);
        while receipts < SUBSCRIPTIONS {
            let frame = client.next().await.expect("the server goes on");
            match frame.headers.first("seq") {
                Some(seq) => {
                    let of = frame.headers.first("subscription").unwrap().to_string();
                    seen.entry(of).or_default().push(seq.parse().unwrap());
                }
                None => receipts += usize::from(frame.command == Command::Receipt),
            }
        }
        assert_eq!(seen.len(), SUBSCRIPTIONS);
        assert!(seen.values().all(|seen| *seen == sent[1..]), "{seen:?}");
    }
    let reads = metric(addr, "moyiza_history_reads_total").await;
    assert!((1..=2).contains(&reads), "{reads} readings for {} resumes", CONNECTIONS * SUBSCRIPTIONS);
}

async fn without_the_database_what_is_in_memory_is_resumed(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let old = a.post(room, "옛날").await;
    let seen = a.post(room, "본 것").await;
    world.rows(room, 2).await;
    world.restart().await;
    let mut a = world.connect_to(&anna, room).await;
    let missed = [a.post(room, "하나").await, a.post(room, "둘").await];
    world.rows(room, 4).await;
    let mut b = world.connect(&bo).await;
    b.send(Command::Subscribe, &[("id", "errors"), ("destination", "/user/queue/errors")], "").await;
    let hold = world.lock_messages().await;
    let resumed = b.resume(room, missed[0], 0).await;
    assert_eq!((resumed.seqs(), resumed.recovered), (vec![missed[1]], Some(true)));
    // Further back there is nothing to resume from: only this is refused, and its name is free again.
    b.ask_to_resume("older", room, old, 0).await;
    let refusal = b.expect_refusal().await;
    assert_eq!((refusal.0.as_str(), refusal.1.as_deref()), ("try again", Some("older")));
    hold.rollback().await.unwrap();
    b.ask_to_resume("older", room, old, 0).await;
    let mut found = Resumed::default();
    loop {
        let frame = b.next().await.unwrap();
        match frame.command {
            Command::Receipt => break,
            _ => found.take(&frame),
        }
    }
    assert_eq!((found.seqs(), found.recovered), (vec![seen, missed[0], missed[1]], Some(true)));
}

async fn without_positions_who_comes_is_let_in_and_counts_come_later(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect(&anna).await;
    // Nobody has opened the room: its positions are in the database only.
    let mut hold = world.pool.begin().await.unwrap();
    sqlx::query("lock table read_positions in access exclusive mode").execute(&mut *hold).await.unwrap();
    a.follow(room).await;
    a.post_only(room, "누구 봐?", "post").await;
    if world.is_cluster() {
        let seq = a.expect_receipt("post").await.headers.first("seq").unwrap().parse().unwrap();
        a.expect_count(seq, crate::client::UNCOUNTED).await;
    }
    hold.rollback().await.unwrap();
    if !world.is_cluster() {
        a.expect_receipt("post").await;
    }
    let seq = world.rows(room, 1).await[0].0;
    a.expect_count(seq, 1).await;
    let mut b = world.connect_to(&bo, room).await;
    a.expect_count(seq, 0).await;
    let seq = b.post(room, "나").await;
    a.expect_count(seq, 0).await;
}

/// What would not fit its queue is not begun: its client would be closed, come back, and be closed again.
#[tokio::test]
async fn more_than_a_connection_may_wait_for_is_not_replayed() {
    with_world_as(Backing::Embedded, &["--max-queued-bytes", "20000"], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect(&anna).await;
        let (mut sent, long) = (Vec::new(), "x".repeat(3_000));
        for _ in 0..5 {
            sent.push(a.post(room, &long).await);
        }
        let mut b = world.connect(&bo).await;
        let resumed = b.resume(room, sent[0], 10).await;
        assert_eq!((resumed.seqs(), resumed.recovered), (sent[2..].to_vec(), Some(false)));
        let seqs = |page: Vec<(i64, Value)>| page.into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
        assert_eq!(seqs(b.page(room, &[]).await), sent[2..]);
        assert_eq!(seqs(b.page(room, &[("after", "0")]).await), sent[..3]);
        b.disconnect().await;
        let mut b = world.connect(&bo).await;
        let resumed = b.resume(room, sent[1], 0).await;
        assert_eq!((resumed.seqs(), resumed.recovered), (sent[2..].to_vec(), Some(true)));
    })
    .await;
}

/// A node that has not seen what its client has seen elsewhere lets it wait until it has.
#[tokio::test]
async fn a_node_that_is_behind_catches_up_first() {
    with_world_as(Backing::Embedded, &[], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let first = a.post(room, "하나").await;
        // The embedded log counts by one: the place of what is said next is known.
        let mut b = world.connect(&bo).await;
        b.ask_to_resume("chat", room, first + 1, 0).await;
        b.ask_to_resume("other", room, first, 0).await;
        b.expect_receipt("other").await;
        let second = a.post(room, "둘").await;
        let third = a.post(room, "셋").await;
        assert_eq!((second, third), (first + 1, first + 2));
        b.expect_receipt("chat").await;
        assert_eq!(b.expect_event("recovered").await["recovered"], true);
        let mut seen = Vec::new();
        while seen.last() != Some(&third) {
            let frame = b.expect(Command::Message).await;
            if frame.headers.first("subscription").is_some_and(|id| id == "chat")
                && let Some(seq) = frame.headers.first("seq")
            {
                seen.push(seq.parse().unwrap());
            }
        }
        assert_eq!(seen, [third]);
    })
    .await;
}

crate::world::on_both_backends!(
    many_who_come_back_at_once_read_once,
    without_the_database_what_is_in_memory_is_resumed,
    without_positions_who_comes_is_let_in_and_counts_come_later,
);
