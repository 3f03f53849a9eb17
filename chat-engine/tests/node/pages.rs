//! Pages of history: by STOMP and by HTTP alike, without a gap however far the database lags behind.

use serde_json::Value;
use shared::testing;
use stomp::Command;

use crate::{
    peer::Peer,
    world::{Backing, Person, World, with_world_as},
};

/// A response: its status, its headers, its body.
#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl World {
    async fn request(&self, person: &Person, request: &str, headers: &str) -> Response {
        let mut peer = Peer::dial(self.addr_for(person)).await;
        let request = format!("{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        peer.write(request.as_bytes()).await;
        let response = peer.response().await.expect("a response");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// A page by HTTP: its seqs, and whether there are older and newer messages.
    async fn messages(&self, person: &Person, room: i64, query: &str) -> (Vec<i64>, bool, bool) {
        let bearer = format!("Authorization: Bearer {}\r\n", person.token);
        let request = format!("GET /rooms/{room}/messages{query}");
        let ask = async || self.request(person, &request, &bearer).await;
        let caught_up = |response: &Response| !response.body.contains("catching up");
        let response = testing::becomes("a node that has caught up", ask, caught_up).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let page: Value = serde_json::from_str(&response.body).unwrap();
        let seqs = page["messages"].as_array().unwrap().iter().map(|message| {
            assert_eq!(message["body"]["type"], "message");
            message["seq"].as_i64().unwrap()
        });
        (seqs.collect(), page["older"].as_bool().unwrap(), page["newer"].as_bool().unwrap())
    }
}

/// Every page of a room, from everywhere and both ways, is as `sent` says.
async fn check_pages(world: &World, person: &Person, room: i64, sent: &[i64]) {
    const LIMIT: usize = 4;
    let mut client = world.connect_to(person, room).await;
    for (at, seq) in sent.iter().enumerate() {
        let around = at.saturating_sub(LIMIT / 2 - 1)..(at + LIMIT / 2 + 1).min(sent.len());
        for (name, range) in [
            ("before", at.saturating_sub(LIMIT)..at),
            ("after", at + 1..(at + 1 + LIMIT).min(sent.len())),
            ("around", around),
        ] {
            let (older, newer) = (range.start > 0, range.end < sent.len());
            let expected = &sent[range];
            let query = format!("?{name}={seq}&limit={LIMIT}");
            let (page, has_older, has_newer) = world.messages(person, room, &query).await;
            assert_eq!(page, expected, "{query}, the {at}th");
            assert_eq!((has_older, has_newer), (older, newer), "{query}, the {at}th");
            let (seq, limit) = (seq.to_string(), LIMIT.to_string());
            let page = client.page(room, &[(name, &*seq), ("limit", &*limit)]).await;
            assert_eq!(page.into_iter().map(|(seq, _)| seq).collect::<Vec<_>>(), expected, "{query}");
        }
    }
    let (newest, older, newer) = world.messages(person, room, "").await;
    assert_eq!((&newest[..], older, newer), (&sent[sent.len().saturating_sub(50)..], sent.len() > 50, false));
    client.disconnect().await;
}

async fn pages_are_the_same_by_stomp_and_http_from_memory_and_from_rows(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut sent = Vec::new();
    for n in 0..11 {
        sent.push(a.post(room, &n.to_string()).await);
        if n % 3 == 0 {
            // No page shows it.
            let body = r#"{"content":"고침"}"#;
            a.change("edit", room, sent[n / 2], body).await.unwrap();
        }
    }
    a.disconnect().await;
    check_pages(world, &anna, room, &sent).await;
    world.rows_where(room, "kind = 3", 4).await;
    world.rows(room, sent.len()).await;
    world.restart().await;
    // Nobody is in the room.
    assert_eq!(world.messages(&anna, room, "?limit=3").await, (sent[8..].to_vec(), true, false));
    check_pages(world, &anna, room, &sent).await;
    // Old ones are rows, new ones are in memory.
    let mut a = world.connect(&anna).await;
    for n in 0..5 {
        sent.push(a.post(room, &n.to_string()).await);
    }
    check_pages(world, &anna, room, &sent).await;
}

/// Batches do not reach the database, and pages have it all: from memory.
#[tokio::test]
async fn pages_have_no_gap_while_the_database_lags_behind_a_cluster() {
    check_lag(&[]).await;
}

/// The same where memory had to let go of it: from the log.
#[tokio::test]
async fn pages_have_no_gap_where_neither_memory_nor_the_database_of_a_cluster_has_it_all() {
    check_lag(&["--tail-bytes", "1000"]).await;
}

async fn check_lag(arguments: &[&str]) {
    with_world_as(Backing::Cluster, arguments, async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = world.connect(&anna).await;
        let mut sent = Vec::new();
        for n in 0..6 {
            sent.push(a.post(room, &n.to_string()).await);
        }
        world.rows(room, sent.len()).await;
        world.restart().await;
        let mut hold = world.pool.begin().await.unwrap();
        sqlx::query("select from log_progress for update").execute(&mut *hold).await.unwrap();
        let mut a = world.connect(&anna).await;
        for n in 0..6 {
            sent.push(a.post(room, &n.to_string()).await);
        }
        // Of rows, too: an edit that is no row yet.
        let edit = a.change("edit", room, sent[1], r#"{"content":"고침"}"#).await.unwrap();
        world.has_seen(&anna, room, edit).await;
        check_pages(world, &anna, room, &sent).await;
        let mut a = world.connect_to(&anna, room).await;
        assert_eq!(a.page(room, &[]).await[1].1["content"], "고침");
        let stored: i64 = sqlx::query_scalar("select count(*) from chat_messages where room_id = $1")
            .bind(room)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        assert_eq!(stored, 6);
        let mut w = world.connect(&anna).await;
        let resumed = w.resume(room, sent[3], 0).await;
        assert_eq!(resumed.seqs(), [&sent[4..], &[edit]].concat());
        hold.rollback().await.unwrap();
        world.rows_where(room, "kind = 3", 1).await;
        check_pages(world, &anna, room, &sent).await;
    })
    .await;
}

/// The database hangs, and memory cannot keep all that comes meanwhile for who waits for it.
#[tokio::test]
async fn a_page_that_would_have_a_gap_is_refused() {
    with_world_as(Backing::Cluster, &["--tail-bytes", "8000"], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = world.connect_to(&anna, room).await;
        a.post(room, "전").await;
        world.rows(room, 1).await;
        world.restart().await;
        let mut a = world.connect_to(&anna, room).await;
        a.send(Command::Subscribe, &[("id", "errors"), ("destination", "/user/queue/errors")], "").await;
        let hold = world.lock_messages().await;
        let destination = format!("/app/history/{room}");
        a.send(Command::Send, &[("destination", &destination), ("receipt", "p")], "").await;
        world.readers_wait(1).await;
        let mut w = world.connect_to(&anna, room).await;
        for n in 0..60 {
            w.post(room, &n.to_string()).await;
        }
        while w.expect_shown().await.content != "59" {}
        hold.rollback().await.unwrap();
        assert_eq!(a.expect_refusal().await, ("try again".into(), Some("p".into())));
        let page = a.page(room, &[]).await;
        assert_eq!(page.len(), 50);
    })
    .await;
}

impl World {
    /// How many statements wait for `chat_messages`.
    async fn waiting(&self) -> i64 {
        let waiting = sqlx::query_scalar(
            "select count(*) from pg_locks where not granted and relation = 'chat_messages'::regclass \
             and database = (select oid from pg_database where datname = current_database())",
        );
        waiting.fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until there are so many.
    async fn readers_wait(&self, count: i64) {
        let look = async || self.waiting().await;
        testing::becomes("readers to wait", look, |waiting| *waiting >= count).await;
    }

    /// Waits until a person's node has seen a place.
    async fn has_seen(&self, person: &Person, room: i64, seq: i64) {
        let mut client = self.connect(person).await;
        assert_eq!(client.resume(room, seq, 0).await.recovered, Some(true));
    }
}

async fn http_says_what_is_wrong(world: &World) {
    let (anna, eve) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    let path = format!("/rooms/{room}/messages");
    let bearer = |person: &Person| format!("Authorization: Bearer {}\r\n", person.token);
    let cases = [
        (format!("GET {path}"), String::new(), 401, "an access token is needed"),
        (format!("GET {path}"), "Authorization: Bearer x\r\n".to_owned(), 401, ""),
        (format!("GET {path}"), bearer(&eve), 403, "you are not a member of room"),
        (format!("GET {path}?before=x"), bearer(&anna), 400, "before is \\\"x\\\": expected a seq"),
        (format!("GET {path}?limit=0"), bearer(&anna), 400, "limit is \\\"0\\\": expected 1 to 200"),
        (format!("GET {path}?page=2"), bearer(&anna), 400, "\\\"page\\\" is not a parameter"),
        (format!("POST {path}"), bearer(&anna), 405, "GET only"),
    ];
    for (request, headers, status, reason) in cases {
        let response = world.request(&anna, &request, &headers).await;
        assert_eq!(response.status, status, "{request}: {}", response.body);
        assert!(
            response.body.starts_with(r#"{"error":""#) && response.body.contains(reason),
            "{}",
            response.body
        );
        assert!(response.head.contains("cache-control: no-store"), "{}", response.head);
    }
}

async fn pages_of_other_origins_may_ask_if_they_are_configured(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let path = format!("/rooms/{room}/messages");
    for (origin, allowed) in [("http://localhost:8080", true), ("http://evil.example", false)] {
        let preflight = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n"
        );
        let response = world.request(&anna, &format!("OPTIONS {path}"), &preflight).await;
        assert_eq!(response.status, if allowed { 204 } else { 403 });
        let granted = format!("access-control-allow-origin: {origin}");
        assert_eq!(response.head.contains(&granted), allowed, "{}", response.head);
        assert_eq!(response.head.contains("access-control-allow-headers: authorization"), allowed);
        // Errors, too, are for the page to read.
        let response = world.request(&anna, &format!("GET {path}"), &format!("Origin: {origin}\r\n")).await;
        assert_eq!((response.status, response.head.contains(&granted)), (401, allowed));
        let headers = format!("Origin: {origin}\r\nAuthorization: Bearer {}\r\n", anna.token);
        let response = world.request(&anna, &format!("GET {path}"), &headers).await;
        assert_eq!(response.head.contains(&granted), allowed, "{}", response.head);
        assert!(response.head.contains("vary: origin"), "{}", response.head);
    }
}

async fn without_the_database_a_page_is_refused_and_the_connection_lives_on(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    let sent = [a.post(room, "하나").await, a.post(room, "둘").await];
    world.rows(room, 2).await;
    world.restart().await;
    let mut a = world.connect_to(&anna, room).await;
    a.send(Command::Subscribe, &[("id", "errors"), ("destination", "/user/queue/errors")], "").await;
    let hold = world.lock_messages().await;
    let destination = format!("/app/history/{room}");
    a.send(Command::Send, &[("destination", &destination), ("receipt", "p")], "").await;
    assert_eq!(a.expect_refusal().await, ("try again".into(), Some("p".into())));
    let refused = a.change("delete", room, sent[0], "").await;
    assert_eq!(refused, Err("try again".to_owned()));
    let bearer = format!("Authorization: Bearer {}\r\n", anna.token);
    let response = world.request(&anna, &format!("GET /rooms/{room}/messages"), &bearer).await;
    assert_eq!(response.status, 503, "{}", response.body);
    hold.rollback().await.unwrap();
    assert_eq!(a.page(room, &[]).await.len(), 2);
    assert_eq!(world.messages(&anna, room, "").await, (sent.to_vec(), false, false));
}

async fn readers_leave_the_database_to_others(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let (room, other) = (world.room(&[&anna]).await, world.room(&[&bo]).await);
    let mut a = world.connect_to(&anna, room).await;
    let sent = a.post(room, "하나").await;
    world.rows(room, 1).await;
    world.restart().await;
    let mut readers = Vec::new();
    for _ in 0..12 {
        readers.push(world.connect_to(&anna, room).await);
    }
    let hold = world.lock_messages().await;
    let destination = format!("/app/history/{room}");
    for reader in &mut readers {
        reader.send(Command::Send, &[("destination", &destination), ("receipt", "p")], "").await;
    }
    world.readers_wait(4).await;
    // Who comes is asked about in the database.
    world.connect_to(&bo, other).await;
    assert_eq!(world.waiting().await, 4);
    hold.rollback().await.unwrap();
    for reader in &mut readers {
        reader.expect_receipt("p").await;
    }
    assert_eq!(world.messages(&anna, room, "").await, (vec![sent], false, false));
}

async fn one_person_waits_for_so_many_pages_at_once(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    let sent = a.post(room, "하나").await;
    world.rows(room, 1).await;
    world.restart().await;
    assert_eq!(world.messages(&anna, room, "").await, (vec![sent], false, false));
    let hold = world.lock_messages().await;
    let bearer = format!("Authorization: Bearer {}\r\n", anna.token);
    let path = format!("GET /rooms/{room}/messages");
    let ask = || world.request(&anna, &path, &bearer);
    let one_too_many = async {
        world.readers_wait(4).await;
        let response = ask().await;
        hold.rollback().await.unwrap();
        response
    };
    let (a, b, c, d, refused) = tokio::join!(ask(), ask(), ask(), ask(), one_too_many);
    assert_eq!([a.status, b.status, c.status, d.status, refused.status], [200, 200, 200, 200, 429]);
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(world.messages(&anna, room, "").await, (vec![sent], false, false));
}

async fn a_subscription_that_ends_before_it_began_has_its_receipt(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect(&anna).await;
    for n in 0..5 {
        let (id, first, last) = (n.to_string(), format!("first-{n}"), format!("last-{n}"));
        let destination = format!("/chat/{room}");
        let headers = [("id", &*id), ("destination", &destination), ("history", "10"), ("receipt", &first)];
        a.send(Command::Subscribe, &headers, "").await;
        a.send(Command::Unsubscribe, &[("id", &id), ("receipt", &last)], "").await;
        let mut receipts = Vec::new();
        for _ in 0..2 {
            let receipt = a.expect(Command::Receipt).await;
            receipts.push(receipt.headers.first("receipt-id").unwrap().to_string());
        }
        receipts.sort();
        assert_eq!(receipts, [first, last]);
    }
}

crate::world::on_both_backends!(
    a_subscription_that_ends_before_it_began_has_its_receipt,
    pages_are_the_same_by_stomp_and_http_from_memory_and_from_rows,
    http_says_what_is_wrong,
    readers_leave_the_database_to_others,
    one_person_waits_for_so_many_pages_at_once,
    pages_of_other_origins_may_ask_if_they_are_configured,
    without_the_database_a_page_is_refused_and_the_connection_lives_on,
);
