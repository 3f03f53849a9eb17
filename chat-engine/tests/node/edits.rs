//! Changing what was said: edits, deletions and replies, who may do what, and what everybody sees of it.

use serde_json::{Value, json};
use stomp::Command;

use crate::{
    client::Client,
    repeats::append_record,
    world::{Backing, Person, World, with_world_as},
};

fn says(content: &str) -> String {
    json!({ "content": content }).to_string()
}

impl World {
    /// Connected, following, and told of refusals.
    async fn careful(&self, person: &Person, room: i64) -> Client {
        let mut client = self.connect_to(person, room).await;
        let headers = [("id", "errors"), ("destination", "/user/queue/errors"), ("receipt", "e")];
        client.send(Command::Subscribe, &headers, "").await;
        client.expect_receipt("e").await;
        client
    }

    async fn promote(&self, room: i64, person: &Person, role: &str) {
        sqlx::query("update memberships set role = $3 where meetup_id = $1 and user_id = $2")
            .bind(room)
            .bind(person.id)
            .bind(role)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

impl Client {
    /// The body of each record that a page shows.
    pub(crate) async fn page(&mut self, room: i64, headers: &[(&str, &str)]) -> Vec<(i64, Value)> {
        let destination = format!("/app/history/{room}");
        let headers: Vec<_> = [("destination", &*destination), ("receipt", "page")]
            .into_iter()
            .chain(headers.iter().copied())
            .collect();
        self.send(Command::Send, &headers, "").await;
        let mut page = Vec::new();
        loop {
            let answer = |frame: &stomp::Frame| {
                let is_page = frame.headers.first("history").is_some();
                is_page || frame.headers.first("receipt-id").is_some_and(|id| id == "page")
            };
            let frame = self.try_expect(answer).await.expect("the server goes on");
            match frame.headers.first("seq") {
                Some(seq) if frame.command == Command::Message => {
                    page.push((seq.parse().unwrap(), serde_json::from_slice(&frame.body).unwrap()));
                }
                _ => {
                    assert_eq!(frame.command, Command::Receipt, "{frame:?}");
                    return page;
                }
            }
        }
    }
}

async fn an_edit_reaches_everybody_and_every_page(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut b = world.connect_to(&bo, room).await;
    let (first, second) = (a.post(room, "오타").await, a.post(room, "그대로").await);
    let edit = a.change_as("edit", room, first, &says("고침"), Some("e1")).await.unwrap();
    assert!(edit > second);
    for client in [&mut a, &mut b] {
        let event = client.expect_event("edited").await;
        let told = (&event["target"], &event["content"], &event["user"], &event["client-id"]);
        assert_eq!(told, (&json!(first), &json!("고침"), &json!(anna.id), &json!("e1")));
        // It counts nobody, and moves no count.
        client.expect_count(second, 0).await;
        assert!(!client.counts().contains_key(&edit));
    }
    world.rows_where(room, "kind = 3", 1).await;
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
            b = world.connect_to(&bo, room).await;
        }
        let page = b.page(room, &[]).await;
        assert_eq!(page.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [first, second]);
        assert_eq!((&page[0].1["content"], &page[0].1["edited"]), (&json!("고침"), &page[0].1["edited"]));
        assert!(page[0].1["edited"].is_i64() && page[1].1["edited"].is_null());
    }
}

async fn a_deletion_is_final(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.careful(&anna, room).await;
    let mut b = world.careful(&bo, room).await;
    let seq = a.post(room, "비밀").await;
    let deletion = a.change_as("delete", room, seq, "", Some("d1")).await.unwrap();
    let event = b.expect_event("deleted").await;
    assert_eq!((&event["target"], &event["user"]), (&json!(seq), &json!(anna.id)));
    // The same request again is answered as the first was; another is refused.
    assert_eq!(a.change_as("delete", room, seq, "", Some("d1")).await, Ok(deletion));
    for (verb, body, client_id) in [
        ("delete", String::new(), Some("d2")),
        ("delete", String::new(), None),
        ("edit", says("다시"), Some("e1")),
    ] {
        let refused = a.change_as(verb, room, seq, &body, client_id).await;
        assert_eq!(refused, Err("message deleted".to_owned()), "{verb} {client_id:?}");
    }
    let headers = [
        ("destination", &*format!("/app/chat/{room}")),
        ("reply-to", &*seq.to_string()),
        ("receipt", "change"),
    ];
    a.send(Command::Send, &headers, &says("뭐라고?")).await;
    assert_eq!(a.expect_refusal().await, ("message deleted".into(), Some("change".into())));
    for (_, body) in b.page(room, &[]).await {
        assert!(body["deleted"].is_i64() && body["content"].is_null(), "{body}");
    }
    world.rows_where(room, "kind = 4", 1).await;
    world.restart().await;
    let mut a = world.careful(&anna, room).await;
    assert_eq!(a.change_as("delete", room, seq, "", Some("d1")).await, Ok(deletion));
    assert_eq!(a.change("edit", room, seq, &says("다시")).await, Err("message deleted".to_owned()));
    assert!(a.page(room, &[]).await[0].1["deleted"].is_i64());
}

/// Nothing else happens in the room that would have the node look at it.
async fn everybody_who_waits_for_what_does_not_come_is_answered(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(world.careful(&anna, room).await);
    }
    let nowhere = (clients[0].post(room, "하나").await + 1_000).to_string();
    let edit = [("destination", &*format!("/app/edit/{room}")), ("seq", &*nowhere), ("receipt", "change")];
    // One after the other: their times differ.
    for client in &mut clients {
        client.post(room, "그리고").await;
        client.send(Command::Send, &edit, &says("x")).await;
    }
    for client in &mut clients {
        assert_eq!(client.expect_refusal().await, ("no such message".into(), Some("change".into())));
    }
}

/// A node that begins behind the deletion knows it all the same.
#[tokio::test]
async fn an_edit_that_lost_the_race_to_a_deletion_is_not_shown_after_a_restart_of_a_cluster() {
    with_world_as(Backing::Cluster, &[], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let (gone, kept) = (a.post(room, "비밀").await, a.post(room, "오타").await);
        a.change("delete", room, gone, "").await.unwrap();
        world.rows_where(room, "kind = 4", 1).await;
        world.restart().await;
        let mut b = world.connect_to(&bo, room).await;
        for (target, content) in [(gone, "비밀이었다"), (kept, "고침")] {
            // As from a node whose check was before the deletion.
            let (user, target) = (anna.id.to_string(), target.to_string());
            let headers = [("kind", "3"), ("user", &*user), ("target", &*target)];
            let body = format!(
                r#"{{"type":"edited","target":{target},"user":{user},"at":1,"content":"{content}"}}"#
            );
            append_record(world, room, &headers, &body).await;
        }
        assert_eq!(b.expect_event("edited").await["target"], json!(kept));
    })
    .await;
}

async fn one_changes_ones_own_and_by_right_deletes_others(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let other_room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut b = world.careful(&bo, room).await;
    let seqs = [a.post(room, "하나").await, a.post(room, "둘").await];
    let own = b.post(room, "내 것").await;
    world.rows(room, 3).await;
    let refused = |title: &str| Err(title.to_owned());
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
            b = world.careful(&bo, room).await;
        }
        assert_eq!(b.change("edit", room, seqs[0], &says("아니")).await, refused("not your message"));
        assert_eq!(b.change("delete", room, seqs[0], "").await, refused("not your message"));
        // Another room's, none, an edit's own place.
        assert_eq!(b.change("delete", other_room, own, "").await, refused("no such message"));
        assert_eq!(b.change("delete", room, seqs[0] - 1, "").await, refused("no such message"));
        assert_eq!(b.change("edit", room, own, &says(" ")).await, refused("bad body"));
        let edit = b.change("edit", room, own, &says("고침")).await.unwrap();
        assert_eq!(b.change("delete", room, edit, "").await, refused("no such message"));
    }
    for (role, seq) in [("host", seqs[0]), ("owner", seqs[1])] {
        world.promote(room, &bo, role).await;
        assert_eq!(b.change("edit", room, seq, &says("아니")).await, refused("not your message"));
        b.change("delete", room, seq, "").await.expect("by right");
    }
    let eve = world.person().await;
    let mut e = world.connect(&eve).await;
    let headers = [("id", "errors"), ("destination", "/user/queue/errors")];
    e.send(Command::Subscribe, &headers, "").await;
    assert_eq!(e.change("delete", room, own, "").await, refused("not a member"));
}

async fn a_reply_names_what_it_answers(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.careful(&anna, room).await;
    let mut b = world.connect_to(&bo, room).await;
    let question = a.post(room, "언제?").await;
    let (destination, to) = (format!("/app/chat/{room}"), question.to_string());
    let headers = [("destination", &*destination), ("reply-to", &*to), ("receipt", "r")];
    b.send(Command::Send, &headers, &says("내일")).await;
    b.expect_receipt("r").await;
    a.expect_event("message").await;
    let reply = a.expect_event("message").await;
    assert_eq!((&reply["content"], &reply["reply-to"]), (&json!("내일"), &json!(question)));
    let bogus = (question - 1).to_string();
    let headers = [("destination", &*destination), ("reply-to", &*bogus), ("receipt", "r")];
    a.send(Command::Send, &headers, &says("뭐?")).await;
    assert_eq!(a.expect_refusal().await, ("no such message".into(), Some("r".into())));
}

async fn a_transaction_changes_all_or_nothing(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.careful(&anna, room).await;
    let mut b = world.connect_to(&bo, room).await;
    let (own, foreign) = (a.post(room, "내 것").await, b.post(room, "네 것").await);
    b.expect_shown().await;
    b.expect_shown().await;
    for (target, goes) in [(foreign, false), (own, true)] {
        a.send(Command::Begin, &[("transaction", "t")], "").await;
        for (verb, seq, body) in [("chat", None, says("하나")), ("delete", Some(target), String::new())] {
            let (destination, seq) = (format!("/app/{verb}/{room}"), seq.map(|seq: i64| seq.to_string()));
            let mut headers = vec![("destination", &*destination), ("transaction", "t")];
            headers.extend(seq.as_deref().map(|seq| ("seq", seq)));
            a.send(Command::Send, &headers, &body).await;
        }
        a.send(Command::Commit, &[("transaction", "t"), ("receipt", "commit")], "").await;
        if goes {
            a.expect_receipt("commit").await;
            assert_eq!(b.expect_shown().await.content, "하나");
            assert_eq!(b.expect_event("deleted").await["target"], json!(own));
        } else {
            assert_eq!(a.expect_refusal().await, ("not your message".into(), Some("commit".into())));
        }
    }
    world.rows_where(room, "kind = 0", 3).await;
}

/// An edit that crosses a deletion on its way comes behind it in the log.
#[tokio::test]
async fn an_edit_behind_a_deletion_is_shown_to_nobody() {
    crate::world::with_world_as(crate::world::Backing::Embedded, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = world.careful(&anna, room).await;
        let seq = a.post(room, "비밀").await;
        // Both are checked while neither is in the log: the commit of both waits.
        let mut hold = world.pool.begin().await.unwrap();
        sqlx::query("select from log_progress for update").execute(&mut *hold).await.unwrap();
        let target = seq.to_string();
        for (verb, body) in [("delete", String::new()), ("edit", says("더 큰 비밀"))] {
            let destination = format!("/app/{verb}/{room}");
            let headers = [("destination", &*destination), ("seq", &*target), ("receipt", verb)];
            a.send(Command::Send, &headers, &body).await;
        }
        // Once this is refused, they have been checked.
        assert_eq!(a.change("delete", room, seq - 1, "").await, Err("no such message".to_owned()));
        hold.rollback().await.unwrap();
        a.expect_receipt("delete").await;
        a.expect_receipt("edit").await;
        let mut w = world.connect(&anna).await;
        assert_eq!(w.resume(room, seq, 0).await.records.len(), 1);
        // What comes live stands in one order: this is behind the edit.
        a.post(room, "끝").await;
        loop {
            let frame = a.expect(Command::Message).await;
            let body = String::from_utf8(frame.body.to_vec()).unwrap();
            assert!(!body.contains("더 큰"), "{body}");
            if body.contains("끝") {
                return;
            }
        }
    })
    .await;
}

async fn an_overtaken_edit_that_is_sent_again_after_a_restart_is_the_same_edit(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect(&anna).await;
    let message = a.post(room, "오타").await;
    let first = a.change_as("edit", room, message, &says("하나"), Some("e1")).await.unwrap();
    let second = a.change_as("edit", room, message, &says("둘"), Some("e2")).await.unwrap();
    a.disconnect().await;
    world.restart().await;
    let mut a = world.connect(&anna).await;
    for (id, content, seq) in [("e1", "하나", first), ("e2", "둘", second)] {
        assert_eq!(a.change_as("edit", room, message, &says(content), Some(id)).await, Ok(seq), "{id}");
    }
    let deletion = a.change_as("delete", room, message, "", Some("d")).await;
    a.disconnect().await;
    world.restart().await;
    let mut a = world.connect_to(&anna, room).await;
    assert_eq!(a.change_as("edit", room, message, &says("하나"), Some("e1")).await, Ok(first));
    assert_eq!(a.change_as("delete", room, message, "", Some("d")).await, deletion);
    let page = a.page(room, &[]).await;
    assert!(page.len() == 1 && page[0].1.get("deleted").is_some(), "{page:?}");
}

crate::world::on_both_backends!(
    everybody_who_waits_for_what_does_not_come_is_answered,
    an_edit_reaches_everybody_and_every_page,
    an_overtaken_edit_that_is_sent_again_after_a_restart_is_the_same_edit,
    a_deletion_is_final,
    one_changes_ones_own_and_by_right_deletes_others,
    a_reply_names_what_it_answers,
    a_transaction_changes_all_or_nothing,
);
