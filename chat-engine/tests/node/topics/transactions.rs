//! BEGIN, COMMIT and ABORT around what goes to topics.

use stomp::{Command, Version};

use super::{pair, peers};
use crate::{peer::Peer, world::World};

async fn a_transaction_is_sent_at_commit_and_in_order(world: &World) {
    let (mut sender, mut subscriber) = pair(world).await;
    subscriber.subscribe("s", "/topic/commit").await;
    sender.say(Command::Begin, &[("transaction", "t")], b"").await;
    let held = [("destination", "/topic/commit"), ("transaction", "t"), ("receipt", "held")];
    for text in ["1", "2", "3"] {
        sender.say(Command::Send, &held, text.as_bytes()).await;
        sender.receipt("held").await;
    }
    // Not one of them, although they were taken first.
    sender.publish("/topic/commit", "0").await;
    assert_eq!(subscriber.body().await, "0");
    sender.say(Command::Commit, &[("transaction", "t"), ("receipt", "done")], b"").await;
    sender.receipt("done").await;
    for text in ["1", "2", "3"] {
        let message = subscriber.expect(Command::Message).await;
        assert_eq!((message.body(), message.header("transaction")), (text, None));
    }
}

async fn a_transaction_that_is_not_committed_sends_nothing(world: &World) {
    let anna = world.person().await;
    let (mut sender, mut subscriber) = pair(world).await;
    subscriber.subscribe("s", "/topic/abort").await;
    let held = [("destination", "/topic/abort"), ("transaction", "t"), ("receipt", "held")];
    sender.say(Command::Begin, &[("transaction", "t")], b"").await;
    sender.say(Command::Send, &held, b"aborted").await;
    sender.say(Command::Abort, &[("transaction", "t"), ("receipt", "aborted")], b"").await;
    sender.receipt("held").await;
    sender.receipt("aborted").await;
    for (polite, text) in [(true, "left"), (false, "lost")] {
        let mut peer = Peer::connect(world.addr(), &anna.token, Version::V12).await;
        peer.say(Command::Begin, &[("transaction", "t")], b"").await;
        peer.say(Command::Send, &held, text.as_bytes()).await;
        peer.receipt("held").await;
        if polite {
            peer.say(Command::Disconnect, &[("receipt", "bye")], b"").await;
            peer.receipt("bye").await;
            peer.farewell().await.assert_code(1000);
        }
    }
    sender.publish("/topic/abort", "end").await;
    assert_eq!(subscriber.body().await, "end");
}

async fn a_commit_with_one_refused_send_sends_none(world: &World) {
    let (anna, eve) = (world.person().await, world.person().await);
    let room = world.room(&[&anna]).await;
    let mut peers = peers(world, &eve, 2).await;
    let [sender, subscriber] = &mut peers[..] else { panic!("two were asked for") };
    subscriber.subscribe("s", "/topic/all-or-none").await;
    sender.subscribe("errors", "/user/queue/errors").await;
    let (foreign, body) = (format!("/app/chat/{room}"), r#"{"content":"강제로"}"#);
    let cases = [
        (&*foreign, body, "not a member"),
        ("/nowhere", "x", "unknown destination"),
        ("/app/token", "x", "not in a transaction"),
    ];
    for (destination, body, title) in cases {
        sender.say(Command::Begin, &[("transaction", "t")], b"").await;
        for (destination, body) in
            [("/topic/all-or-none", "before"), (destination, body), ("/topic/all-or-none", "behind")]
        {
            let headers = [("destination", destination), ("transaction", "t")];
            sender.say(Command::Send, &headers, body.as_bytes()).await;
        }
        sender.say(Command::Commit, &[("transaction", "t"), ("receipt", "commit")], b"").await;
        let refusal = sender.expect(Command::Message).await;
        assert_eq!((refusal.header("message"), refusal.header("receipt-id")), (Some(title), Some("commit")));
        let which = format!("SEND 2 of the transaction, to {destination:?}: ");
        assert!(refusal.body().starts_with(&which), "{refusal:?}");
    }
    sender.publish("/topic/all-or-none", "end").await;
    assert_eq!(subscriber.body().await, "end");
}

crate::world::on_both_backends!(
    a_transaction_is_sent_at_commit_and_in_order,
    a_transaction_that_is_not_committed_sends_nothing,
    a_commit_with_one_refused_send_sends_none,
);
