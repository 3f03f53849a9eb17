//! Who lost a connection comes back with `after`: everything missed and then live, no gap and no repeat, on any node.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use stomp::{Command, Frame};

use crate::{
    client::{Client, PATIENCE},
    world::{Backing, Person, World, metric, with_world_as},
};

/// What came of a resume, up to its RECEIPT.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    pub(crate) records: Vec<(i64, Value)>,
    pub(crate) recovered: Option<bool>,
    /// What kind of frame came, in order: `history`, `live`, `reset`, `recovered`.
    order: Vec<&'static str>,
}

impl Resumed {
    pub(crate) fn seqs(&self) -> Vec<i64> {
        self.records.iter().map(|(seq, _)| *seq).collect()
    }

    fn types(&self) -> Vec<&str> {
        self.records.iter().map(|(_, body)| body["type"].as_str().unwrap()).collect()
    }

    fn take(&mut self, frame: &Frame) {
        assert_eq!(frame.command, Command::Message, "{frame:?}");
        let body: Value = serde_json::from_slice(&frame.body).unwrap();
        if let Some(seq) = frame.headers.first("seq") {
            let history = frame.headers.first("history").is_some();
            self.order.push(if history { "history" } else { "live" });
            self.records.push((seq.parse().unwrap(), body));
        } else if let Some(recovered) = body["recovered"].as_bool() {
            assert_eq!(self.recovered.replace(recovered), None, "told twice");
            self.order.push("recovered");
        } else if body["reset"].is_array() {
            self.order.push("reset");
        }
    }
}

impl Client {
    /// Follows a room from behind `after`.
    pub(crate) async fn resume(&mut self, room: i64, after: i64, history: u16) -> Resumed {
        self.ask_to_resume("chat", room, after, history).await;
        let mut resumed = Resumed::default();
        loop {
            let frame = self.next().await.expect("the server goes on");
            match frame.command {
                Command::Receipt => return resumed,
                _ => resumed.take(&frame),
            }
        }
    }

    async fn ask_to_resume(&mut self, id: &str, room: i64, after: i64, history: u16) {
        let (destination, after, history) = (format!("/chat/{room}"), after.to_string(), history.to_string());
        let headers = [
            ("id", id),
            ("destination", &*destination),
            ("after", &*after),
            ("history", &*history),
            ("receipt", id),
        ];
        self.send(Command::Subscribe, &headers, "").await;
    }
}

impl World {
    /// The node that is not a person's, if there are two.
    fn other_addr(&self, person: &Person) -> SocketAddr {
        let own = self.addr_for(person);
        self.addrs().take(2).find(|addr| *addr != own).unwrap_or(own)
    }

    /// Connected to the other node, if there are two, once that has seen a place in a room.
    pub(crate) async fn connect_elsewhere(&self, person: &Person, room: i64, seen: i64) -> Client {
        let other = self.other_addr(person);
        // A subscription from there on waits for it, and this kind is not reading.
        let mut probe = Client::connect(other, &person.token).await;
        let (destination, after) = (format!("/chatalarm/{room}"), seen.to_string());
        let headers = [("id", "p"), ("destination", &*destination), ("after", &*after), ("receipt", "p")];
        probe.send(Command::Subscribe, &headers, "").await;
        probe.expect_receipt("p").await;
        probe.disconnect().await;
        Client::connect(other, &person.token).await
    }
}

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
    let mut hold = world.pool.begin().await.unwrap();
    sqlx::query("lock table chat_messages in access exclusive mode").execute(&mut *hold).await.unwrap();
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

impl Client {
    /// Changes a message: the event's seq, or the refusal's title.
    pub(crate) async fn change(
        &mut self,
        verb: &str,
        room: i64,
        target: i64,
        body: &str,
    ) -> Result<i64, String> {
        self.change_as(verb, room, target, body, None).await
    }

    /// The same under a `client-id`.
    pub(crate) async fn change_as(
        &mut self,
        verb: &str,
        room: i64,
        target: i64,
        body: &str,
        client_id: Option<&str>,
    ) -> Result<i64, String> {
        let (destination, target) = (format!("/app/{verb}/{room}"), target.to_string());
        let mut headers = vec![("destination", &*destination), ("seq", &*target), ("receipt", "change")];
        headers.extend(client_id.map(|id| ("client-id", id)));
        self.send(Command::Send, &headers, body).await;
        let is_answer =
            |frame: &Frame| frame.headers.first("receipt-id").is_some_and(|receipt| receipt == "change");
        let answer = self.try_expect(is_answer).await.expect("the server goes on");
        match answer.command {
            Command::Receipt => Ok(answer.headers.first("seq").expect("a seq").parse().unwrap()),
            _ => Err(answer.headers.first("message").expect("a title").to_string()),
        }
    }

    /// The next refusal: its title, and the receipt of what was refused.
    pub(crate) async fn expect_refusal(&mut self) -> (String, Option<String>) {
        let is_it = |frame: &Frame| frame.headers.first("message").is_some();
        let frame = tokio::time::timeout(PATIENCE, self.try_expect(is_it)).await.unwrap();
        let frame = frame.expect("the server goes on");
        let header = |name| frame.headers.first(name).map(ToString::to_string);
        (header("message").unwrap(), header("receipt-id"))
    }
}

impl World {
    /// Waits for so many rows of a room that are like this.
    pub(crate) async fn rows_where(&self, room: i64, like: &str, count: i64) {
        let there = async {
            let query = format!("select count(*) from chat_messages where room_id = $1 and {like}");
            loop {
                let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query.clone()))
                    .bind(room)
                    .fetch_one(&self.pool)
                    .await
                    .unwrap();
                if found >= count {
                    return;
                }
                // Rows come with the next batch, and nobody announces it.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, there).await.expect("the rows in time");
    }
}

crate::world::on_both_backends!(
    everything_missed_comes_and_then_what_is_said,
    counts_of_what_was_shown_before_are_right_after_a_resume,
    a_replay_has_what_happened_and_what_is_said_by_now,
    a_place_that_is_none_is_not_resumed_from,
    who_comes_back_again_and_again_sees_everything_once,
    many_who_come_back_at_once_read_once,
    without_the_database_what_is_in_memory_is_resumed,
    without_positions_who_comes_is_let_in_and_counts_come_later,
);
