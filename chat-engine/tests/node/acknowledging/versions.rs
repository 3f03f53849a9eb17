//! Earlier versions of STOMP name a message in their own way.

use stomp::{Command, Version};

use super::chat;
use crate::{peer::Peer, world::World};

async fn earlier_versions_acknowledge_in_their_own_way(world: &World) {
    let (anna, bo) = (world.person().await, world.person().await);
    let room = world.room(&[&anna, &bo]).await;
    let mut a = world.connect_to(&anna, room).await;
    for version in [Version::V10, Version::V11] {
        let seqs = [a.post(room, "하나").await, a.post(room, "둘").await, a.post(room, "셋").await];
        let [_, second, third] = seqs;
        a.expect_count(third, 1).await;
        // Where everything has been seen.
        let mut b = Peer::connect(world.addr_for(&anna), &bo.token, version).await;
        let headers = [
            ("id", "s"),
            ("destination", &*chat(room)),
            ("ack", "client"),
            ("history", "3"),
            ("receipt", "r"),
        ];
        b.say(Command::Subscribe, &headers, b"").await;
        let mut ids = Vec::new();
        for _ in seqs {
            let message = b.expect(Command::Message).await;
            assert_eq!(message.header("ack"), None, "{message:?}");
            ids.push(message.header("message-id").expect("it has an id").to_owned());
        }
        b.receipt("r").await;
        // 1.0 needs not say which subscription.
        let answer = [("message-id", &*ids[1]), ("subscription", "s")];
        let count = if version == Version::V10 { 1 } else { 2 };
        b.say(Command::Ack, &answer[..count], b"").await;
        a.expect_count(second, 0).await;
        assert_eq!(a.counts()[&third], 1);
        let answer = [("message-id", &*ids[2]), ("subscription", "s")];
        b.say(Command::Ack, &answer, b"").await;
        a.expect_count(third, 0).await;
    }
}

crate::world::on_both_backends!(earlier_versions_acknowledge_in_their_own_way);
