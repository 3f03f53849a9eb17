//! What a client may leave unanswered, and what it may answer.

use stomp::{Command, Version};

use super::{alarm, chat};
use crate::{
    peer::{Incoming, Peer},
    world::{Backing, World, with_world_as},
};

/// The destination of a room's stream.
type Destination = fn(i64) -> String;

const MODES: [&str; 2] = ["client", "client-individual"];

/// Anna, who speaks, and Bo, who follows under the id `s`.
async fn pair(world: &World, destination: Destination, ack: &str) -> (Peer, Peer, i64) {
    pair_in(world, Version::V12, destination, ack).await
}

/// The same, Bo speaking an earlier version.
async fn pair_in(world: &World, version: Version, destination: Destination, ack: &str) -> (Peer, Peer, i64) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let a = Peer::connect(world.addr(), &anna.token, Version::V12).await;
    let mut b = Peer::connect(world.addr(), &bo.token, version).await;
    b.subscribe_with(&[("id", "s"), ("destination", &destination(room)), ("ack", ack)]).await;
    (a, b, room)
}

/// Says something, and gives its seq.
async fn say(a: &mut Peer, room: i64) -> u64 {
    let headers = [("destination", &*format!("/app/chat/{room}")), ("receipt", "said")];
    a.say(Command::Send, &headers, br#"{"content":"x"}"#).await;
    a.expect(Command::Receipt).await.header("seq").expect("a SEND's receipt has a seq").parse().unwrap()
}

/// The next such frame; what the room tells of its counts may come before it.
async fn next(peer: &mut Peer, wanted: impl Fn(&Incoming) -> bool) -> Incoming {
    loop {
        let incoming = peer.next().await.expect("the server goes on");
        assert_ne!(incoming.frame.command, Command::Error, "{incoming:?}");
        if wanted(&incoming) {
            return incoming;
        }
    }
}

/// The next message of the room.
async fn message(peer: &mut Peer) -> Incoming {
    next(peer, |incoming| incoming.header("unread").is_some()).await
}

async fn receipt(peer: &mut Peer) {
    next(peer, |incoming| incoming.frame.command == Command::Receipt).await;
}

/// A room may say millions of things to somebody who follows it and answers nothing.
#[tokio::test]
async fn who_answers_nothing_goes_on_where_nothing_is_kept_of_it() {
    with_world_as(Backing::Embedded, &["--max-unacknowledged", "3"], async |world| {
        let cases = [(chat as Destination, "client"), (alarm, "client"), (alarm, "client-individual")];
        for (destination, ack) in cases {
            let (mut a, mut b, room) = pair(world, destination, ack).await;
            let mut answer = String::new();
            for _ in 0..20 {
                say(&mut a, room).await;
                let message = message(&mut b).await;
                message.header("ack").expect("it can be acknowledged").clone_into(&mut answer);
            }
            b.say(Command::Ack, &[("id", &answer), ("receipt", "answered")], b"").await;
            receipt(&mut b).await;
        }
    })
    .await;
}

/// With 1.0, to know which subscription an ACK is for that does not say so.
#[tokio::test]
async fn who_answers_nothing_is_told_so_where_each_is_kept() {
    with_world_as(Backing::Embedded, &["--max-unacknowledged", "3"], async |world| {
        for (version, ack) in [(Version::V12, "client-individual"), (Version::V10, "client")] {
            let (mut a, mut b, room) = pair_in(world, version, chat, ack).await;
            for _ in 0..3 {
                say(&mut a, room).await;
                message(&mut b).await;
            }
            say(&mut a, room).await;
            let text = "too many messages wait for ACK, reconnect and resume (MOYIZA_MAX_UNACKNOWLEDGED)";
            b.farewell().await.assert_error(text, 1013);
        }
    })
    .await;
}

async fn only_what_was_sent_can_be_answered(world: &World) {
    for destination in [chat as Destination, alarm] {
        for command in [Command::Ack, Command::Nack] {
            for ack in MODES {
                let (mut a, mut b, room) = pair(world, destination, ack).await;
                let seq = say(&mut a, room).await;
                message(&mut b).await;
                // Twice does no harm.
                for _ in 0..2 {
                    b.say(command, &[("id", &format!("{seq}@s")), ("receipt", "answered")], b"").await;
                    receipt(&mut b).await;
                }
                let next = seq + 1;
                b.say(command, &[("id", &format!("{next}@s"))], b"").await;
                let text = format!("no message \"{next}\" was delivered that waits for an acknowledgement");
                b.farewell().await.assert_error(&text, 1008);
            }
        }
    }
}

async fn what_was_sent_on_one_subscription_is_not_answered_on_another(world: &World) {
    let (mut a, mut b, room) = pair(world, chat, "client").await;
    let seq = say(&mut a, room).await;
    message(&mut b).await;
    let headers = [("id", "later"), ("destination", &*alarm(room)), ("ack", "client"), ("receipt", "later")];
    b.say(Command::Subscribe, &headers, b"").await;
    receipt(&mut b).await;
    b.say(Command::Ack, &[("id", &format!("{seq}@later"))], b"").await;
    let text = format!("no message \"{seq}\" was delivered that waits for an acknowledgement");
    b.farewell().await.assert_error(&text, 1008);
}

async fn there_is_nothing_to_answer_in_auto(world: &World) {
    for destination in [chat as Destination, alarm] {
        let (mut a, mut b, room) = pair(world, destination, "auto").await;
        let seq = say(&mut a, room).await;
        assert_eq!(message(&mut b).await.header("ack"), None);
        b.say(Command::Ack, &[("id", &format!("{seq}@s"))], b"").await;
        let text = format!("no message \"{seq}\" was delivered that waits for an acknowledgement");
        b.farewell().await.assert_error(&text, 1008);
    }
}

crate::world::on_both_backends!(
    only_what_was_sent_can_be_answered,
    what_was_sent_on_one_subscription_is_not_answered_on_another,
    there_is_nothing_to_answer_in_auto,
);
