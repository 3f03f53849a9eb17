//! ACK and NACK of what a topic's subscribers get.

use stomp::{Command, Version};

use super::pair;
use crate::{
    peer::Peer,
    world::{Backing, World, with_world_as},
};

/// What a subscriber of 1.2 answers a MESSAGE with.
async fn answer(subscriber: &mut Peer, command: Command, ack: &str) {
    subscriber.say(command, &[("id", ack), ("receipt", "answered")], b"").await;
    subscriber.receipt("answered").await;
}

/// Three messages may wait; says how many more come after the second of three was answered.
async fn room_after_an_answer_to_the_second(world: &World, ack: &str, command: Command) -> usize {
    let (mut sender, mut subscriber) = pair(world).await;
    let topic = format!("/topic/answered/{ack}/{command}");
    subscriber.subscribe_with(&[("id", "s"), ("destination", &topic), ("ack", ack)]).await;
    let mut answers = Vec::new();
    for text in ["1", "2", "3"] {
        sender.publish(&topic, text).await;
        answers.push(subscriber.expect(Command::Message).await.header("ack").unwrap().to_owned());
    }
    answer(&mut subscriber, command, &answers[1]).await;
    // Said again it does nothing.
    answer(&mut subscriber, command, &answers[1]).await;
    let mut more = 0;
    while more < 5 {
        sender.publish(&topic, "more").await;
        let Some(message) = subscriber.next().await else { panic!("gone without an ERROR") };
        match message.frame.command {
            Command::Message => more += 1,
            _ => break,
        }
    }
    subscriber.farewell().await.assert_code(1013);
    more
}

#[tokio::test]
async fn an_answer_is_to_one_message_or_to_all_before_it() {
    with_world_as(Backing::Embedded, &["--max-unacknowledged", "3"], async |world| {
        for command in [Command::Ack, Command::Nack] {
            assert_eq!(room_after_an_answer_to_the_second(world, "client", command).await, 2);
            assert_eq!(room_after_an_answer_to_the_second(world, "client-individual", command).await, 1);
        }
    })
    .await;
}

async fn only_what_was_delivered_can_be_answered(world: &World) {
    let anna = world.person().await;
    for ack in ["client", "client-individual", "auto"] {
        let mut peer = Peer::connect(world.addr(), &anna.token, Version::V12).await;
        let topic = format!("/topic/answers/{ack}");
        peer.subscribe_with(&[("id", "s"), ("destination", &topic), ("ack", ack)]).await;
        peer.publish(&topic, "x").await;
        let message = peer.expect(Command::Message).await;
        assert_eq!(message.header("ack").is_some(), ack != "auto", "{message:?}");
        let (number, _) = message.header("ack").and_then(|ack| ack.split_once('@')).unwrap_or(("1", ""));
        let next = number.parse::<u64>().unwrap() + 1;
        peer.say(Command::Ack, &[("id", &format!("{next}@s"))], b"").await;
        let farewell = peer.farewell().await;
        let text = format!("no message \"{next}\" was delivered that waits for an acknowledgement");
        farewell.assert_error(&text, 1008);
    }
}

async fn earlier_versions_answer_in_their_own_way(world: &World) {
    let anna = world.person().await;
    for version in [Version::V10, Version::V11] {
        let mut peer = Peer::connect(world.addr(), &anna.token, version).await;
        let topic = format!("/topic/answers/{version}");
        peer.subscribe_with(&[("id", "s"), ("destination", &topic), ("ack", "client")]).await;
        peer.publish(&topic, "x").await;
        let message = peer.expect(Command::Message).await;
        assert_eq!(message.header("ack"), None, "{message:?}");
        let id = message.header("message-id").unwrap();
        let headers = [("message-id", id), ("receipt", "answered"), ("subscription", "s")];
        // 1.0 needs not say which subscription.
        let count = if version == Version::V10 { 2 } else { 3 };
        peer.say(Command::Ack, &headers[..count], b"").await;
        peer.receipt("answered").await;
    }
}

crate::world::on_both_backends!(
    only_what_was_delivered_can_be_answered,
    earlier_versions_answer_in_their_own_way,
);
