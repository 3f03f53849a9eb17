//! Every limit: who meets it is told which, and who stays below it is not.

mod door;

use stomp::{Command, Version};
use websocket::{DataKind, Deflate, OpCode};

use crate::{
    peer::{HANDSHAKE, Peer, masked},
    world::{Backing, World, metric, metric_becomes, with_world_as},
};

/// Runs `test` on a node with these settings.
async fn limited(settings: &[&str], test: impl AsyncFnOnce(&World)) {
    with_world_as(Backing::Embedded, settings, test).await;
}

async fn connected(world: &World) -> Peer {
    Peer::connect(world.addr(), &world.person().await.token, Version::V12).await
}

#[tokio::test]
async fn handshake_bytes() {
    limited(&["--max-handshake-bytes", "8192"], async |world| {
        Peer::dial(world.addr()).await.upgraded(&format!("X: {}\r\n", "x".repeat(7_000))).await;
        let mut peer = Peer::dial(world.addr()).await;
        peer.write(format!("{HANDSHAKE}X: {}\r\n\r\n", "x".repeat(9_000)).as_bytes()).await;
        let response = peer.response().await.expect("an answer");
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
        assert_eq!(peer.bytes().await, None);
    })
    .await;
}

#[tokio::test]
async fn handshake_time() {
    limited(&["--handshake-timeout-ms", "100"], async |world| {
        // Before anything, in the middle, and between two requests.
        for request in ["", HANDSHAKE, "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"] {
            let mut peer = Peer::dial(world.addr()).await;
            peer.write(request.as_bytes()).await;
            if request.contains("livez") {
                assert!(peer.response().await.expect("an answer").ends_with("ok\n"));
            }
            let said = peer.bytes().await;
            assert!(said.as_ref().is_none_or(|said| said.starts_with(b"HTTP/1.1 408 ")), "{said:?}");
        }
        metric_becomes(world.addr(), "moyiza_connections", 1).await;
    })
    .await;
}

#[tokio::test]
async fn connect_time() {
    limited(&["--connect-timeout-ms", "100"], async |world| {
        let farewell = Peer::open(world.addr()).await.farewell().await;
        farewell.assert_error("no CONNECT in time, reconnect (MOYIZA_CONNECT_TIMEOUT_MS)", 1013);
        assert_eq!(
            metric(world.addr(), "moyiza_connections_closed_total{reason=\"connect-timeout\"}").await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn frame_time() {
    limited(&["--frame-timeout-ms", "100"], async |world| {
        let whole = masked(OpCode::Text, b"SEND\ndestination:/topic/a\n\nx\0");
        let half = masked(OpCode::Text, b"SEND\ndestination:/topic/a\n\n");
        let mut deflated = Vec::new();
        assert!(Deflate::default().compress_masked(DataKind::Text, &[b'\n'; 500], [0; 4], &mut deflated));
        // A STOMP frame without its end, a WebSocket frame without its end, its header alone, one byte of that.
        for begun in [&half[..], &whole[..20], &whole[..6], &whole[..1]] {
            let mut peer = connected(world).await;
            peer.write(begun).await;
            peer.farewell()
                .await
                .assert_error("a frame took too long, reconnect and resume (MOYIZA_FRAME_TIMEOUT_MS)", 1013);
        }
        // A fragment, and nothing behind it.
        let mut fragment = masked(OpCode::Text, b"\n");
        fragment[0] &= 0x7f;
        let mut peer = connected(world).await;
        peer.write(&fragment).await;
        peer.farewell()
            .await
            .assert_error("a frame took too long, reconnect and resume (MOYIZA_FRAME_TIMEOUT_MS)", 1013);
        // Who is idle between frames is none of these.
        connected(world).await.works().await;
    })
    .await;
}

/// Frames one behind the other without a pause are not one that takes long.
#[tokio::test]
async fn frame_time_is_not_that_of_many() {
    limited(&["--frame-timeout-ms", "300"], async |world| {
        let mut peer = connected(world).await;
        let frame = |n: usize| {
            masked(
                OpCode::Text,
                format!("SEND\ndestination:/topic/a\nreceipt:{n}\n\n{}\0", "x".repeat(100)).as_bytes(),
            )
        };
        let (mut begun, start) = (Vec::new(), tokio::time::Instant::now());
        let mut n = 0;
        while start.elapsed().as_millis() < 1_000 {
            n += 1;
            // The end of one and the beginning of the next, so that there never is a moment between frames.
            let next = frame(n + 1);
            let piece = if begun.is_empty() { frame(n) } else { std::mem::take(&mut begun) };
            let (now, later) = next.split_at(50);
            peer.write(&[&piece, now].concat()).await;
            begun = later.to_vec();
            peer.receipt(&n.to_string()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn message_bytes() {
    limited(&["--max-message-bytes", "10000"], async |world| {
        let line_ends = vec![b'\n'; 10_001];
        let mut peer = connected(world).await;
        peer.send(OpCode::Text, &line_ends[1..]).await;
        peer.works().await;
        // Refused at the header: nothing of it has to come.
        peer.write(&masked(OpCode::Text, &line_ends)[..8]).await;
        peer.farewell().await.assert_error("a message is longer than 10000 bytes", 1009);
        // In fragments, of which none is too long.
        let mut peer = connected(world).await;
        for (opcode, last) in [(OpCode::Text, false), (OpCode::Continue, false), (OpCode::Continue, true)] {
            let mut fragment = masked(opcode, &line_ends[..4_000]);
            fragment[0] = opcode as u8 | u8::from(last) << 7;
            peer.write(&fragment).await;
        }
        peer.farewell().await.assert_error("a message is longer than 10000 bytes", 1009);
        // Compressed, a thousandth of that.
        let token = world.person().await.token;
        let mut peer = Peer::open_compressed(world.addr()).await.connected(&token, Version::V12).await;
        let mut bomb = Vec::new();
        assert!(Deflate::default().compress_masked(
            DataKind::Text,
            &vec![b'\n'; 5_000_000],
            [7; 4],
            &mut bomb
        ));
        assert!(bomb.len() < 10_000);
        peer.write(&bomb).await;
        peer.farewell().await.assert_error("a message is longer than 10000 bytes", 1009);
    })
    .await;
}

/// Frames that are refused with these words, and others like them that are not.
async fn refused(world: &World, frame: &str, title: &str, text: &str) {
    let mut peer = connected(world).await;
    peer.send(OpCode::Text, frame.as_bytes()).await;
    let farewell = peer.farewell().await;
    farewell.assert_error(text, 1008);
    assert_eq!(farewell.error.unwrap().0, title);
}

async fn taken(world: &World, frame: &str) {
    let mut peer = connected(world).await;
    peer.send(OpCode::Text, frame.as_bytes()).await;
    peer.works().await;
}

#[tokio::test]
async fn frame_bytes() {
    limited(&["--max-frame-bytes", "1000"], async |world| {
        let head = "SEND\ndestination:/topic/a\n";
        let text = "the frame is longer than 1000 bytes";
        let body = "x".repeat(1_000 - head.len() - 2);
        taken(world, &format!("{head}\n{body}\0")).await;
        refused(world, &format!("{head}\nx{body}\0"), "frame too long", text).await;
        // Announced is enough.
        refused(world, &format!("{head}content-length:1000\n\n"), "frame too long", text).await;
        // Without an end.
        refused(world, &format!("{head}\nxx{body}"), "frame too long", text).await;
    })
    .await;
}

#[tokio::test]
async fn header_bytes() {
    limited(&["--max-header-bytes", "1000"], async |world| {
        let head = "SEND\ndestination:/topic/a\nx:";
        let text = "the headers are longer than 1000 bytes";
        let value = "x".repeat(1_000 - head.len() - 2);
        taken(world, &format!("{head}{value}\n\n\0")).await;
        refused(world, &format!("{head}x{value}\n\n\0"), "headers too long", text).await;
        refused(world, &format!("{head}xxx{value}"), "headers too long", text).await;
        // Nor does a CONNECT get further.
        let mut peer = Peer::open(world.addr()).await;
        peer.send(OpCode::Text, format!("CONNECT\npasscode:{}", "x".repeat(1_000)).as_bytes()).await;
        peer.farewell().await.assert_error(text, 1008);
    })
    .await;
}

#[tokio::test]
async fn headers() {
    limited(&["--max-headers", "10"], async |world| {
        let head = "SEND\ndestination:/topic/a\n";
        taken(world, &format!("{head}{}\n\0", "x:y\n".repeat(9))).await;
        let frame = format!("{head}{}\n\0", "x:y\n".repeat(10));
        refused(world, &frame, "too many headers", "the frame has more than 10 headers").await;
    })
    .await;
}

#[tokio::test]
async fn content_bytes() {
    limited(&["--max-content-bytes", "10"], async |world| {
        let anna = world.person().await;
        let destination = format!("/app/chat/{}", world.room(&[&anna]).await);
        let mut peer = Peer::connect(world.addr(), &anna.token, Version::V12).await;
        let headers = [("destination", &*destination), ("receipt", "r")];
        peer.say(Command::Send, &headers, r#"{"content":"123456789\n"}"#.as_bytes()).await;
        peer.receipt("r").await;
        peer.say(Command::Send, &headers, r#"{"content":"안녕하세"}"#.as_bytes()).await;
        peer.farewell().await.assert_error("the message is 12 bytes long; 10 are allowed", 1008);
    })
    .await;
}

#[tokio::test]
async fn subscriptions() {
    limited(&["--max-subscriptions", "3"], async |world| {
        let mut peer = connected(world).await;
        for id in ["1", "2", "3"] {
            peer.subscribe(id, "/topic/a").await;
        }
        // Whose place becomes free.
        peer.say(Command::Unsubscribe, &[("id", "2")], b"").await;
        peer.subscribe("4", "/topic/b").await;
        peer.say(Command::Subscribe, &[("id", "5"), ("destination", "/topic/a")], b"").await;
        peer.farewell().await.assert_error("a connection may have 3 subscriptions at a time", 1008);
    })
    .await;
}

#[tokio::test]
async fn unacknowledged() {
    limited(&["--max-unacknowledged", "3"], async |world| {
        let (mut sender, mut peer) = (connected(world).await, connected(world).await);
        peer.subscribe_with(&[("id", "s"), ("destination", "/topic/a"), ("ack", "client-individual")]).await;
        // Each subscription has its own.
        peer.subscribe_with(&[("id", "t"), ("destination", "/topic/b"), ("ack", "client")]).await;
        for _ in 0..3 {
            sender.publish("/topic/a", "x").await;
            sender.publish("/topic/b", "x").await;
        }
        for _ in 0..6 {
            peer.expect(Command::Message).await;
        }
        peer.works().await;
        sender.publish("/topic/a", "x").await;
        let farewell = peer.farewell().await;
        farewell.assert_error(
            "too many messages wait for ACK, reconnect and resume (MOYIZA_MAX_UNACKNOWLEDGED)",
            1013,
        );
        sender.works().await;
    })
    .await;
}

#[tokio::test]
async fn transactions() {
    limited(&["--max-transactions", "2"], async |world| {
        let mut peer = connected(world).await;
        let begin = |name: &'static str| [("transaction", name), ("receipt", "r")];
        for (command, name) in
            [(Command::Begin, "1"), (Command::Begin, "2"), (Command::Abort, "1"), (Command::Begin, "3")]
        {
            peer.say(command, &begin(name), b"").await;
            peer.receipt("r").await;
        }
        peer.say(Command::Begin, &begin("4"), b"").await;
        peer.farewell().await.assert_error("a connection may have 2 transactions at a time", 1008);
    })
    .await;
}

#[tokio::test]
async fn transaction_frames() {
    limited(&["--max-transaction-frames", "3"], async |world| {
        let mut peer = connected(world).await;
        for transaction in ["1", "2"] {
            peer.say(Command::Begin, &[("transaction", transaction)], b"").await;
        }
        // All of a connection's transactions together.
        for transaction in ["1", "2", "1", "2"] {
            let headers = [("destination", "/topic/a"), ("transaction", transaction)];
            peer.say(Command::Send, &headers, b"x").await;
        }
        peer.farewell().await.assert_error("the transactions of a connection may hold 3 frames", 1008);
    })
    .await;
}

#[tokio::test]
async fn transaction_bytes() {
    limited(&["--max-transaction-bytes", "10000"], async |world| {
        let mut peer = connected(world).await;
        let held = [("destination", "/topic/a"), ("transaction", "t"), ("receipt", "held")];
        // What was held before counts no more.
        for _ in 0..3 {
            peer.say(Command::Begin, &[("transaction", "t")], b"").await;
            peer.say(Command::Send, &held, &[b'x'; 9_000]).await;
            peer.receipt("held").await;
            peer.say(Command::Commit, &[("transaction", "t")], b"").await;
        }
        peer.say(Command::Begin, &[("transaction", "t")], b"").await;
        for _ in 0..2 {
            peer.say(Command::Send, &held, &[b'x'; 5_000]).await;
        }
        peer.receipt("held").await;
        peer.farewell().await.assert_error("the transactions of a connection may hold 10000 bytes", 1008);
    })
    .await;
}

#[tokio::test]
async fn sends_per_second() {
    limited(&["--max-sends-per-second", "1", "--max-send-burst", "6"], async |world| {
        let text = "a connection may SEND or SUBSCRIBE 1 times a second, and 6 times at once";
        let mut peer = connected(world).await;
        peer.subscribe("errors", "/user/queue/errors").await;
        for n in 0..5 {
            peer.say(Command::Send, &[("destination", "/topic/a"), ("receipt", &n.to_string())], b"x").await;
            peer.receipt(&n.to_string()).await;
        }
        // A burst is over; how many seconds it took is not known.
        let mut refused = false;
        for _ in 0..1_000 {
            peer.say(Command::Send, &[("destination", "/topic/a"), ("receipt", "r")], b"x").await;
            let told = peer.next().await.expect("the connection lives on");
            refused = told.frame.command == Command::Message;
            if refused {
                assert_eq!((told.header("message"), told.body()), (Some("too fast"), text));
                break;
            }
        }
        assert!(refused, "a thousand came through at one a second");
        // A transaction is no way around it.
        peer.say(Command::Begin, &[("transaction", "t")], b"").await;
        for _ in 0..10 {
            peer.say(Command::Send, &[("destination", "/topic/a"), ("transaction", "t")], b"x").await;
        }
        peer.say(Command::Commit, &[("transaction", "t")], b"").await;
        assert_eq!(peer.body().await, text);
        // Others have their own.
        connected(world).await.works().await;
        // Nobody listens to refusals: an ERROR.
        let mut deaf = connected(world).await;
        for _ in 0..20 {
            deaf.publish("/topic/a", "x").await;
        }
        deaf.farewell().await.assert_error(text, 1008);
    })
    .await;
}
