//! `/topic/{name}`: what is sent reaches whoever is subscribed, on every node, in order, and as it was sent.

use std::collections::{HashMap, HashSet};

use stomp::{Command, Version};
use websocket::{DataKind, Deflate, OpCode};

use crate::{
    peer::Peer,
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
    let cases = [(&*foreign, body, "not a member"), ("/nowhere", "x", "unknown destination")];
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
    }
    sender.publish("/topic/all-or-none", "end").await;
    assert_eq!(subscriber.body().await, "end");
}

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

/// What Redis says to a command.
async fn ask_redis(command: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let url = shared::testing::server("MOYIZA_TEST_REDIS_URL");
    let authority = url.trim_start_matches("redis://").split('/').next().unwrap();
    let mut redis = tokio::net::TcpStream::connect(authority).await.unwrap();
    redis.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    redis.read_to_string(&mut answer).await.unwrap();
    answer
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
        let clients = ask_redis("CLIENT LIST").await;
        let name = format!("name={}topics ", world.prefix());
        let ids = clients
            .lines()
            .filter(|line| line.contains(&name))
            .map(|line| line.split(' ').find_map(|word| word.strip_prefix("id=")).expect("an id").to_owned());
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids.len(), 2, "a connection of each node: {clients}");
        for id in ids {
            assert!(ask_redis(&format!("CLIENT KILL ID {id}")).await.starts_with(":1"));
        }
        for follower in followers {
            let farewell = follower.farewell().await;
            farewell.assert_error("messages of topics were lost, reconnect", 1013);
        }
        // Who follows no topic has missed nothing; and topics go on.
        other.works().await;
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
    a_transaction_is_sent_at_commit_and_in_order,
    a_transaction_that_is_not_committed_sends_nothing,
    a_commit_with_one_refused_send_sends_none,
    only_what_was_delivered_can_be_answered,
    earlier_versions_answer_in_their_own_way,
);
