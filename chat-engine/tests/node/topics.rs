//! `/topic/{name}`: what is sent reaches whoever is subscribed, on every node, in order, and as it was sent.

mod answers;
mod transactions;

use std::collections::{HashMap, HashSet};

use stomp::{Command, Version};
use websocket::{DataKind, Deflate, OpCode};

use crate::{
    peer::Peer,
    redis,
    world::{Backing, Person, World, with_world_as},
};

const ALL: [Version; 3] = [Version::V10, Version::V11, Version::V12];

/// Somebody connected to each node in turn, `count` in all.
async fn peers(world: &World, person: &Person, count: usize) -> Vec<Peer> {
    let mut peers = Vec::new();
    for addr in world.addrs().take(count) {
        peers.push(Peer::connect(addr, &person.token, Version::V12).await);
    }
    peers
}

/// Two of them: on two nodes where there are two.
async fn pair(world: &World) -> (Peer, Peer) {
    let anna = world.person().await;
    let mut peers = peers(world, &anna, 2).await;
    let second = peers.pop().unwrap();
    (peers.pop().unwrap(), second)
}

async fn every_subscriber_gets_each_message_once_and_in_its_senders_order(world: &World) {
    const MESSAGES: usize = 200;
    let anna = world.person().await;
    let mut subscribers = peers(world, &anna, 6).await;
    for subscriber in &mut subscribers {
        subscriber.subscribe("s", "/topic/order").await;
    }
    let mut senders = peers(world, &anna, 4).await;
    for n in 0..MESSAGES {
        for (sender, peer) in senders.iter_mut().enumerate() {
            peer.publish("/topic/order", &format!("{sender} {n}")).await;
        }
    }
    let mut seen_by_all = Vec::new();
    for subscriber in &mut subscribers {
        let mut next: HashMap<String, usize> = HashMap::new();
        let (mut ids, mut seen) = (HashSet::new(), Vec::new());
        for _ in 0..MESSAGES * senders.len() {
            let message = subscriber.expect(Command::Message).await;
            assert_eq!(message.header("subscription"), Some("s"));
            assert_eq!(message.header("destination"), Some("/topic/order"));
            assert_eq!(message.header("ack"), None, "there is nothing to acknowledge");
            assert!(ids.insert(message.header("message-id").unwrap().to_owned()), "{message:?}");
            let (sender, n) = message.body().split_once(' ').unwrap();
            let next = next.entry(sender.to_owned()).or_default();
            assert_eq!(n, next.to_string(), "of {sender}");
            *next += 1;
            seen.push(message.body().to_owned());
        }
        seen_by_all.push(seen);
    }
    assert!(seen_by_all.windows(2).all(|pair| pair[0] == pair[1]), "all see one order");
    // Nothing came twice: the next thing is new.
    senders[0].publish("/topic/order", "end").await;
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.body().await, "end");
    }
}

async fn a_connection_follows_several_topics_and_one_twice(world: &World) {
    let (mut sender, mut subscriber) = pair(world).await;
    for (id, topic) in [("a", "/topic/several/a"), ("b", "/topic/several/b"), ("a again", "/topic/several/a")]
    {
        subscriber.subscribe(id, topic).await;
    }
    for (topic, text) in [("a", "1"), ("b", "2"), ("c", "nobody's"), ("a", "3")] {
        sender.publish(&format!("/topic/several/{topic}"), text).await;
    }
    let mut seen = Vec::new();
    for _ in 0..5 {
        let message = subscriber.expect(Command::Message).await;
        let header = |name| message.header(name).unwrap().to_owned();
        seen.push((header("subscription"), header("destination"), message.body().to_owned()));
    }
    for (id, topic, texts) in
        [("a", "a", vec!["1", "3"]), ("a again", "a", vec!["1", "3"]), ("b", "b", vec!["2"])]
    {
        let of: Vec<_> = seen.iter().filter(|(subscription, ..)| subscription == id).collect();
        assert!(of.iter().all(|(_, destination, _)| *destination == format!("/topic/several/{topic}")));
        assert_eq!(of.iter().map(|(.., text)| &**text).collect::<Vec<_>>(), texts, "of {id}");
    }
}

async fn unsubscribe_ends_one_subscription(world: &World) {
    let (mut sender, mut subscriber) = pair(world).await;
    subscriber.subscribe("goes", "/topic/unsubscribe").await;
    subscriber.subscribe("stays", "/topic/unsubscribe").await;
    subscriber.say(Command::Unsubscribe, &[("id", "goes"), ("receipt", "gone")], b"").await;
    subscriber.receipt("gone").await;
    for text in ["1", "2"] {
        sender.publish("/topic/unsubscribe", text).await;
        let message = subscriber.expect(Command::Message).await;
        assert_eq!((message.header("subscription"), message.body()), (Some("stays"), text));
    }
    subscriber.say(Command::Unsubscribe, &[("id", "stays"), ("receipt", "gone")], b"").await;
    subscriber.receipt("gone").await;
    // What a connection follows again it hears again.
    subscriber.subscribe("goes", "/topic/unsubscribe").await;
    sender.publish("/topic/unsubscribe", "3").await;
    let message = subscriber.expect(Command::Message).await;
    assert_eq!((message.header("subscription"), message.body()), (Some("goes"), "3"));
}

async fn headers_reach_every_version_in_its_own_escaping(world: &World) {
    let (anna, addr) = (world.person().await, world.addrs().nth(1).unwrap());
    // Name and value as 1.2 writes them, and as each version of a subscriber gets them.
    let cases = [
        (r"colour:blue:green", [r"colour:blue:green", r"colour:blue\cgreen", r"colour:blue\cgreen"]),
        (r"path:C\c\\temp\n", [r"path:C:\temp", r"path:C\c\\temp\n", r"path:C\c\\temp\n"]),
        (r"return:a\rb", ["return:a\rb", "return:a\rb", r"return:a\rb"]),
        ("이름: 민수 ", ["이름: 민수 ", "이름: 민수 ", "이름: 민수 "]),
        ("empty:", ["empty:", "empty:", "empty:"]),
        ("content-type:application/x-own;a=b", ["content-type:application/x-own;a=b"; 3]),
        ("twice:first", ["twice:first"; 3]),
        ("twice:second", ["twice:second"; 3]),
    ];
    let mut subscribers = Vec::new();
    for version in ALL {
        let mut subscriber = Peer::connect(addr, &anna.token, version).await;
        subscriber.subscribe("s", "/topic/escaping").await;
        subscribers.push(subscriber);
    }
    let mut sender = Peer::connect(world.addr(), &anna.token, Version::V12).await;
    let lines = cases.map(|(line, _)| line).join("\n");
    let send = format!("SEND\ndestination:/topic/escaping\n{lines}\n\nhello\0");
    sender.send(OpCode::Text, send.as_bytes()).await;
    for (version, subscriber) in subscribers.iter_mut().enumerate() {
        let message = subscriber.expect(Command::Message).await;
        assert_eq!(message.body(), "hello");
        let lines: Vec<_> = message.text.split('\n').collect();
        let mut last = 0;
        for (_, expected) in &cases {
            let at = lines.iter().position(|line| *line == expected[version]);
            let at = at.unwrap_or_else(|| panic!("{:?} is not in {lines:?}", expected[version]));
            assert!(last < at, "{:?} out of order in {lines:?}", expected[version]);
            last = at;
        }
    }
}

async fn what_is_the_servers_to_say_cannot_be_forged(world: &World) {
    let (anna, addr) = (world.person().await, world.addrs().nth(1).unwrap());
    let mut subscribers = Vec::new();
    for version in ALL {
        let mut subscriber = Peer::connect(addr, &anna.token, version).await;
        // One of 1.0 that names no id gets no `subscription`, and must not get one from anybody else.
        match version {
            Version::V10 => subscriber.subscribe_with(&[("destination", "/topic/forged")]).await,
            _ => subscriber.subscribe("s", "/topic/forged").await,
        }
        subscribers.push(subscriber);
    }
    let reserved = [
        "message-id",
        "seq",
        "unread",
        "subscription",
        "user-name",
        "ack",
        "history",
        "login",
        "passcode",
        "authorization",
        "heart-beat",
        "receipt-id",
        "session",
        "server",
        "version",
    ];
    let mut headers = Vec::new();
    for name in reserved {
        headers.push(format!("{name}:forged"));
        // Names that are another in a version which cannot escape, or to a client that trims.
        headers.extend([format!("{name}\\c:forged"), format!("{name}\\cforged:")]);
        headers.extend([format!(" {name}:forged"), format!("{name} :forged")]);
        let (first, rest) = name.split_at(1);
        headers.extend([format!("{first}\\n{rest}:forged"), format!("{name}\\r:forged")]);
    }
    // A name of HTTP's, which may be written in any way. Others in capitals are other names.
    headers.extend(["Authorization:forged", "AUTHORIZATION:forged", "honest:yes"].map(str::to_owned));
    let mut sender = Peer::connect(world.addr(), &anna.token, Version::V12).await;
    // A frame may have 64 headers.
    for chunk in headers.chunks(60) {
        let lines = chunk.join("\n");
        let send = format!("SEND\ndestination:/topic/forged\nreceipt:sent\n{lines}\n\nhello\0");
        sender.send(OpCode::Text, send.as_bytes()).await;
        sender.receipt("sent").await;
        for (subscriber, version) in subscribers.iter_mut().zip(ALL) {
            let message = subscriber.expect(Command::Message).await;
            for (name, value) in message.frame.headers.iter() {
                let shown = name.trim();
                let own = ["destination", "message-id", "content-length", "honest"].contains(&shown)
                    || (version > Version::V10 && shown == "subscription");
                let value_is_own = !value.contains("forged") || shown == "destination";
                let escaped = reserved.iter().all(|reserved| shown != *reserved)
                    && !shown.eq_ignore_ascii_case("authorization");
                assert!(
                    (own && value_is_own) || escaped,
                    "{version}: {name:?}:{value:?} in {:?}",
                    message.text
                );
            }
        }
    }
}

async fn bodies_arrive_as_they_are(world: &World) {
    let (mut sender, mut subscriber) = pair(world).await;
    subscriber.subscribe("s", "/topic/bodies").await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let cases: [(&[u8], DataKind); 5] = [
        (&every_byte, DataKind::Binary),
        (b"", DataKind::Text),
        ("한글\0NUL and all\n".as_bytes(), DataKind::Text),
        (b"\xed\xa0\x80", DataKind::Binary),
        (&vec![0; 40_000], DataKind::Text),
    ];
    for (body, kind) in cases {
        sender.say(Command::Send, &[("destination", "/topic/bodies")], body).await;
        let message = subscriber.expect(Command::Message).await;
        assert_eq!((&*message.frame.body, message.kind), (body, kind));
        let length = message.header("content-length").map_or(0, |length| length.parse().unwrap());
        assert_eq!(length, body.len());
    }
}

async fn the_receipt_of_subscribe_means_that_everything_from_then_on_arrives(world: &World) {
    let (mut sender, mut subscriber) = pair(world).await;
    for n in 0..100 {
        let topic = format!("/topic/receipt/{n}");
        subscriber.subscribe(&n.to_string(), &topic).await;
        sender.publish(&topic, &n.to_string()).await;
        assert_eq!(subscriber.body().await, n.to_string());
    }
}

#[tokio::test]
async fn who_may_have_missed_a_message_is_told_so_by_a_close() {
    with_world_as(Backing::Cluster, &[], async |world| {
        let anna = world.person().await;
        let (first, second) = (world.addr(), world.addrs().nth(1).unwrap());
        let mut followers = Vec::new();
        for addr in [first, second] {
            let mut follower = Peer::connect(addr, &anna.token, Version::V12).await;
            follower.subscribe("s", "/topic/lost").await;
            followers.push(follower);
        }
        let mut other = Peer::connect(first, &anna.token, Version::V12).await;
        redis::cut(&format!("{}topics", world.prefix()), 2).await;
        for follower in followers {
            let farewell = follower.farewell().await;
            farewell.assert_error("messages of topics were lost, reconnect", 1013);
        }
        // Who follows no topic has missed nothing; and topics go on, also on the other node.
        other.works().await;
        let mut again = Peer::connect(second, &anna.token, Version::V12).await;
        again.subscribe("s", "/topic/lost").await;
        other.publish("/topic/lost", "again").await;
        assert_eq!(again.body().await, "again");
    })
    .await;
}

#[tokio::test]
async fn without_topics_there_are_none() {
    with_world_as(Backing::Embedded, &["--topics", "false"], async |world| {
        let anna = world.person().await;
        let headers = [("destination", "/topic/a"), ("id", "s")];
        for (command, what) in [(Command::Send, "SEND"), (Command::Subscribe, "SUBSCRIBE")] {
            let mut peer = Peer::connect(world.addr(), &anna.token, Version::V12).await;
            peer.say(command, &headers, b"").await;
            let text = format!("there is no destination \"/topic/a\" to {what} to");
            peer.farewell().await.assert_error(&text, 1008);
        }
    })
    .await;
}

#[tokio::test]
async fn long_messages_are_compressed_for_who_offers_it() {
    with_world_as(Backing::Embedded, &["--compress-from-bytes", "1000"], async |world| {
        let anna = world.person().await;
        let mut plain = Peer::connect(world.addr(), &anna.token, Version::V12).await;
        let mut offering =
            Peer::open_compressed(world.addr()).await.connected(&anna.token, Version::V12).await;
        for peer in [&mut plain, &mut offering] {
            peer.subscribe("s", "/topic/compressed").await;
        }
        let (short, long) = ("짧다".repeat(20), "길다 ".repeat(1000));
        // What does not shrink is sent as it is.
        let dice: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(20_000).collect();
        for (body, compressed) in [(short.as_bytes(), false), (long.as_bytes(), true), (&dice, false)] {
            plain.say(Command::Send, &[("destination", "/topic/compressed")], body).await;
            for (peer, compressed) in [(&mut plain, false), (&mut offering, compressed)] {
                let message = peer.expect(Command::Message).await;
                assert_eq!(&*message.frame.body, body);
                assert_eq!(message.compressed, compressed, "{} bytes", body.len());
            }
        }
        // Compressed frames are understood too.
        let (send, mut frame) = (format!("SEND\ndestination:/topic/compressed\n\n{long}\0"), Vec::new());
        assert!(Deflate::default().compress_masked(
            DataKind::Text,
            send.as_bytes(),
            [1, 2, 3, 4],
            &mut frame
        ));
        offering.write(&frame).await;
        assert_eq!(plain.body().await, long);
    })
    .await;
}

crate::world::on_both_backends!(
    every_subscriber_gets_each_message_once_and_in_its_senders_order,
    a_connection_follows_several_topics_and_one_twice,
    unsubscribe_ends_one_subscription,
    headers_reach_every_version_in_its_own_escaping,
    what_is_the_servers_to_say_cannot_be_forged,
    bodies_arrive_as_they_are,
    the_receipt_of_subscribe_means_that_everything_from_then_on_arrives,
);
