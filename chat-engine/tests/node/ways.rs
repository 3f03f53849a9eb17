//! All ways to read a room and not to read it, but for those by ACK.
//!
//! That somebody still reads shows by a message that is counted after the room has learnt of something that came later:
//! what Cho does on the node of who is looked at.

use serde_json::json;
use shared::event::{LeaveReason, MeetupEvent};
use stomp::{Command, Frame};

use crate::{
    acknowledging::chat,
    client::Client,
    world::{Person, World},
};

impl Client {
    /// Follows the room under this id, too.
    async fn follow_as(&mut self, id: &str, room: i64) {
        self.follow_by("auto", id, &chat(room), &[("history", "100")]).await;
    }

    async fn unfollow(&mut self, id: &str) {
        self.send(Command::Unsubscribe, &[("id", id), ("receipt", "u")], "").await;
        self.expect_receipt("u").await;
    }

    /// Posts on `chat`; the seq, and how many are said to have not read it as it comes.
    async fn post_counted(&mut self, room: i64, content: &str) -> (i64, i64) {
        let seq = self.post(room, content).await;
        let message = self.message_at("chat", seq).await;
        (seq, message.headers.first("unread").expect("it is counted").parse().unwrap())
    }
}

/// Anna has the room open, Cho has not.
async fn room_of_three(world: &World) -> (Client, Person, Person, i64) {
    let (anna, bo, cho) = (world.person().await, world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo, &cho]).await;
    (world.connect_to(&anna, room).await, bo, cho, room)
}

async fn a_member_reads_while_any_of_their_devices_does(world: &World) {
    let (mut a, bo, cho, room) = room_of_three(world).await;
    // On every node, and on one of them twice.
    let addrs: Vec<_> = world.addrs().take(3).collect();
    let mut devices = Vec::new();
    for addr in &addrs {
        let mut device = Client::connect(*addr, &bo.token).await;
        device.follow(room).await;
        devices.push(device);
    }
    let first = a.post(room, "하나").await;
    a.expect_count(first, 1).await;
    let mut seen = first;
    // All but the last of them stop.
    for (device, addr) in devices[..2].iter_mut().zip(&addrs) {
        device.unfollow("chat").await;
        let mut c = Client::connect(*addr, &cho.token).await;
        c.follow_as("c", room).await;
        a.expect_count(seen, 0).await;
        let (_, unread) = a.post_counted(room, "아직 보고 있지?").await;
        assert_eq!(unread, 0, "Bo still reads on another device");
        c.unfollow("c").await;
        seen = a.post(room, "다음").await;
        a.expect_count(seen, 1).await;
    }
    devices.pop().expect("the last device").disconnect().await;
    let last = a.post(room, "아무도 없네").await;
    a.expect_count(last, 2).await;
}

async fn subscribed_twice_and_unsubscribed_once_is_reading(world: &World) {
    let (mut a, bo, cho, room) = room_of_three(world).await;
    let mut b = world.connect_to(&bo, room).await;
    b.follow_as("again", room).await;
    let first = a.post(room, "하나").await;
    a.expect_count(first, 1).await;
    b.unfollow("chat").await;
    let mut c = Client::connect(world.addr_for(&bo), &cho.token).await;
    c.follow_as("c", room).await;
    a.expect_count(first, 0).await;
    let (second, unread) = a.post_counted(room, "둘").await;
    assert_eq!(unread, 0, "Bo still reads under another id");
    // On it comes what is said.
    b.message_at("again", second).await;
    b.unfollow("again").await;
    let third = a.post(room, "셋").await;
    a.expect_count(third, 1).await;
}

/// Nobody outside of a room makes its counts less, whatever they try.
async fn outsiders_are_never_counted(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut a = world.connect_to(&anna, room).await;
    let mut outsiders = Vec::new();
    for _ in 0..5 {
        let outsider = world.person().await;
        let mut client = world.connect(&outsider).await;
        client.follow_by("auto", "errors", "/user/queue/errors", &[]).await;
        for (id, destination) in [("a", chat(room)), ("b", format!("/chatalarm/{room}"))] {
            for ack in ["auto", "client", "client-individual"] {
                let headers = [("id", id), ("destination", &*destination), ("ack", ack)];
                client.send(Command::Subscribe, &headers, "").await;
                let refused = |frame: &Frame| frame.headers.first("ended-subscription").is_some();
                let refusal = client.try_expect(refused).await.expect("a refusal");
                let title = refusal.headers.first("message").map(|title| &**title);
                assert_eq!(title, Some("not a member"), "{refusal:?}");
            }
        }
        client.post_only(room, "나도", "refused").await;
        outsiders.push(client);
    }
    // Nor does who was a member once.
    let bo = world.person().await;
    world.join(room, &bo).await;
    assert_eq!(a.expect_event("joined").await["user"], json!(bo.id));
    let b = world.connect_to(&bo, room).await;
    world.leave(room, &bo).await;
    assert_eq!(a.expect_event("left").await["user"], json!(bo.id));
    for content in ["하나", "둘", "셋"] {
        let seq = a.post(room, content).await;
        a.expect_count(seq, 0).await;
    }
    drop((b, outsiders));
    let seq = a.post(room, "넷").await;
    a.expect_count(seq, 0).await;
    assert!(a.counts().values().all(|unread| *unread == 0), "{:?}", a.counts());
}

async fn who_is_banned_does_not_count_and_has_nothing_unread_when_back(world: &World) {
    let (mut a, bo, _cho, room) = room_of_three(world).await;
    let first = a.post(room, "하나").await;
    a.expect_count(first, 2).await;
    let mut b = world.connect(&bo).await;
    b.follow_by("client", "acks", &chat(room), &[("history", "10")]).await;
    world.put_out(room, &bo, "banned", LeaveReason::Banned).await;
    assert_eq!(a.expect_event("left").await["user"], json!(bo.id));
    a.expect_count(first, 1).await;
    let second = a.post(room, "둘").await;
    a.expect_count(second, 1).await;
    world.join_again(room, &bo).await;
    assert_eq!(a.expect_event("joined").await["user"], json!(bo.id));
    let third = a.post(room, "셋").await;
    a.expect_count(third, 2).await;
    assert_eq!(a.shows([first, second]), [1, 1]);
    let mut b = world.connect(&bo).await;
    b.follow_by("client", "acks", &chat(room), &[("history", "10")]).await;
    for (seq, unread) in [(first, 1), (second, 1), (third, 2)] {
        b.expect_count(seq, unread).await;
    }
    b.ack(third).await;
    a.expect_count(third, 1).await;
    assert_eq!(a.shows([first, second]), [1, 1]);
}

async fn who_withdraws_does_not_count(world: &World) {
    let (mut a, bo, _cho, room) = room_of_three(world).await;
    let reading = world.connect_to(&bo, room).await;
    let first = a.post(room, "하나").await;
    a.expect_count(first, 1).await;
    drop(reading);
    let second = a.post(room, "둘").await;
    a.expect_count(second, 2).await;
    world.put_out(room, &bo, "left", LeaveReason::Withdrawn).await;
    world.tell(MeetupEvent::UserWithdrawn { user: bo.id }).await;
    assert_eq!(a.expect_event("left").await["user"], json!(bo.id));
    a.expect_count(second, 1).await;
    let third = a.post(room, "셋").await;
    a.expect_count(third, 1).await;
    assert_eq!(a.shows([first]), [1]);
}

/// It was said, and is counted as what was said: how many have seen that there was something.
async fn a_deleted_message_is_counted_as_it_was(world: &World) {
    let (mut a, bo, _cho, room) = room_of_three(world).await;
    let (first, second) = (a.post(room, "하나").await, a.post(room, "둘").await);
    a.expect_count(second, 2).await;
    let headers =
        [("destination", &*format!("/app/delete/{room}")), ("seq", &*first.to_string()), ("receipt", "d")];
    a.send(Command::Send, &headers, "").await;
    a.expect_receipt("d").await;
    a.expect_event("deleted").await;
    let third = a.post(room, "셋").await;
    a.expect_count(third, 2).await;
    assert_eq!(a.shows([first, second]), [2, 2]);
    // Who comes later sees it without its content, with the same count; and so it is acknowledged.
    let mut b = world.connect(&bo).await;
    b.follow_by("client-individual", "acks", &chat(room), &[("history", "10")]).await;
    for seq in [first, second, third] {
        b.expect_count(seq, 2).await;
    }
    b.ack(second).await;
    b.ack(first).await;
    a.expect_count(second, 1).await;
    assert_eq!(a.shows([first, third]), [1, 2]);
}

crate::world::on_both_backends!(
    a_member_reads_while_any_of_their_devices_does,
    subscribed_twice_and_unsubscribed_once_is_reading,
    outsiders_are_never_counted,
    who_is_banned_does_not_count_and_has_nothing_unread_when_back,
    who_withdraws_does_not_count,
    a_deleted_message_is_counted_as_it_was,
);
