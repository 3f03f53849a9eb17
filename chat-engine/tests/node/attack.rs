//! What no client of good will does: nothing of it hurts the node or anybody else.

mod violations;

use std::time::Duration;

use futures_util::future::join_all;
use stomp::{Command, Version};
use tokio::net::TcpSocket;
use websocket::OpCode;

use crate::{
    peer::{HANDSHAKE, Peer, masked},
    world::{Backing, World, metric, metric_becomes, with_world_as},
};

const FRAME_TOOK_TOO_LONG: &str = "a frame took too long, reconnect and resume (MOYIZA_FRAME_TIMEOUT_MS)";

/// Runs an attack on a node with these settings; behind it everything is as it was.
async fn attack(settings: &[&str], test: impl AsyncFnOnce(&World)) {
    shared::limits::raise_open_files();
    with_world_as(Backing::Embedded, settings, async |world| {
        let mut before = connected(world).await;
        test(world).await;
        before.works().await;
        connected(world).await.works().await;
        drop(before);
        // The one that asks.
        metric_becomes(world.addr(), "moyiza_connections", 1).await;
        assert_eq!(metric(world.addr(), "moyiza_connection_panics_total").await, 0);
    })
    .await;
}

async fn connected(world: &World) -> Peer {
    Peer::connect(world.addr(), &world.person().await.token, Version::V12).await
}

/// A frame whose two first bytes are these, with a key and this payload behind them.
fn odd(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked(OpCode::Text, payload);
    frame[0] = first;
    frame
}

/// Sends pieces so slowly that there is always another one, until the server has had enough.
async fn drip(mut peer: Peer, pieces: impl Iterator<Item = Vec<u8>>) -> Peer {
    for piece in pieces {
        if !peer.is_open() || peer.try_write(&piece).await.is_err() {
            return peer;
        }
        // Slowness is the attack.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the server waits for ever");
}

/// As much as is dripped in many times what each timeout is here.
const ENDLESS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn slow_lorises_are_closed_and_others_do_not_wait() {
    let timeouts =
        ["--handshake-timeout-ms", "300", "--connect-timeout-ms", "300", "--frame-timeout-ms", "300"];
    attack(&timeouts, async |world| {
        let bytes = |head: &str| {
            let bytes = head.bytes().chain(std::iter::repeat(b'x')).take(ENDLESS);
            bytes.map(|byte| vec![byte]).collect::<Vec<_>>().into_iter()
        };
        let messages = |head: &str| bytes(head).map(|piece| masked(OpCode::Text, &piece));
        let send =
            masked(OpCode::Text, format!("SEND\ndestination:/topic/a\n\n{}", "x".repeat(ENDLESS)).as_bytes());
        // Pings in between are no excuse, nor are heart-beats before CONNECT.
        let pings = |head: &str| messages(head).map(|piece| [piece, masked(OpCode::Ping, b"")].concat());
        let line_ends = || std::iter::repeat_n(masked(OpCode::Text, b"\n"), ENDLESS);
        let lorises = async {
            let handshakes = join_all((0..10).map(async |n| {
                let head = if n % 2 == 0 { format!("{HANDSHAKE}X: ") } else { "G".into() };
                let peer = drip(Peer::dial(world.addr()).await, bytes(&head)).await;
                let farewell = peer.farewell().await;
                assert!(farewell.close.is_none() && farewell.error.is_none(), "{farewell:?}");
            }));
            let connects = join_all((0..10).map(async |n| {
                let peer = Peer::open(world.addr()).await;
                let peer = match n % 2 {
                    0 => drip(peer, messages("CONNECT\npasscode:")).await,
                    _ => drip(peer, line_ends()).await,
                };
                peer.farewell()
                    .await
                    .assert_error("no CONNECT in time, reconnect (MOYIZA_CONNECT_TIMEOUT_MS)", 1013);
            }));
            let frames = join_all((0..12).map(async |n| {
                let peer = connected(world).await;
                let peer = match n % 4 {
                    0 => drip(peer, messages("SEND\ndestination:/topic/a\n\n")).await,
                    1 => drip(peer, pings("SEND\ndestination:/topic/a\n\n")).await,
                    2 => drip(peer, send.iter().map(|byte| vec![*byte])).await,
                    // One WebSocket message, in fragments of which none is the last.
                    _ => {
                        let first = [OpCode::Text].into_iter();
                        let opcodes = first.chain(std::iter::repeat_n(OpCode::Continue, ENDLESS));
                        let fragments = opcodes.map(|opcode| {
                            let mut fragment = masked(opcode, b"\n");
                            fragment[0] &= 0x7f;
                            fragment
                        });
                        drip(peer, fragments).await
                    }
                };
                peer.farewell().await.assert_error(FRAME_TOOK_TOO_LONG, 1013);
            }));
            tokio::join!(handshakes, connects, frames)
        };
        let mut other = connected(world).await;
        let mut lorises = std::pin::pin!(lorises);
        loop {
            tokio::select! {
                _ = &mut lorises => break,
                () = other.works() => {}
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_keep_nobody_out() {
    attack(&[], async |world| {
        let mut half_open = Vec::new();
        for n in 0..1_000 {
            let mut peer = Peer::dial(world.addr()).await;
            peer.write(&HANDSHAKE.as_bytes()[..n % HANDSHAKE.len()]).await;
            half_open.push(peer);
        }
        let mut peer = connected(world).await;
        for _ in 0..20 {
            peer.works().await;
            connected(world).await.works().await;
        }
        assert!(half_open.iter_mut().all(Peer::is_open));
    })
    .await;
}

#[tokio::test]
async fn garbage_at_the_door_is_refused() {
    attack(&[], async |world| {
        let long = "x".repeat(100_000);
        let without_end = |request: &str| request.as_bytes().to_vec();
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (b"\0\0\0\0\0\0\0\0\r\n\r\n".to_vec(), "400"),
            (b"hello\r\n\r\n".to_vec(), "400"),
            // TLS' first words, and those of HTTP/2.
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), "400"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
            (b"GET /ws HTTP/9.9\r\n\r\n".to_vec(), "400"),
            (b"GET /ws HTTP/1.1\r\nno colon\r\n\r\n".to_vec(), "400"),
            (b"GET /ws HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".to_vec(), "400"),
            (without_end(&format!("GET /{long} HTTP/1.1\r\n")), "4"),
            (without_end(&format!("GET /ws HTTP/1.1\r\n{}", "X: y\r\n".repeat(10_000))), "431"),
            (without_end(&long), "4"),
            (b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "404"),
            (b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "404"),
            (b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), "405"),
            (b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "426"),
            (HANDSHAKE.replace("Version: 13", "Version: 8").into_bytes(), "426"),
            (HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short").into_bytes(), "400"),
            (format!("{HANDSHAKE}Sec-WebSocket-Protocol: v13.stomp\r\n").into_bytes(), "400"),
            (format!("{HANDSHAKE}Origin: http://evil.example\r\n").into_bytes(), "403"),
            (HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0").into_bytes(), "400"),
            (HANDSHAKE.replace("Host: test\r\n", "").into_bytes(), "400"),
        ];
        for (request, status) in cases {
            let mut peer = Peer::dial(world.addr()).await;
            // Those of a handshake still want their empty line; refused sooner, a write may fail.
            let end: &[u8] = if request.starts_with(b"GET /ws HTTP/1.") && request.ends_with(b"\r\n") {
                b"\r\n"
            } else {
                b""
            };
            let _ = peer.try_write(&[&request, end].concat()).await;
            let response = peer.response().await.unwrap_or_default();
            let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
            match status {
                // A word of its own answer would not be understood.
                "" => assert_eq!(response, "", "{shown}"),
                status => {
                    // Who speaks 1.0 is answered in it.
                    let answer = response.strip_prefix("HTTP/1.").and_then(|answer| answer.get(2..));
                    let refused = answer.is_some_and(|answer| answer.starts_with(status));
                    assert!(refused, "{shown}: {response}");
                }
            }
        }
        // What has no body by its method has none here (RFC 9110 §9.3.2).
        let mut peer = Peer::dial(world.addr()).await;
        peer.write(b"HEAD /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let mut response = Vec::new();
        while let Some(bytes) = peer.bytes().await {
            response.extend_from_slice(&bytes);
        }
        let response = String::from_utf8(response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_gets_an_answer_to_every_ping() {
    attack(&[], async |world| {
        let mut peer = connected(world).await;
        let payload = |n: usize| [&n.to_be_bytes()[..], &[b'x'; 117]].concat()[..n % 126].to_vec();
        for n in 0..50 {
            let pings = (0..1_000).flat_map(|m| masked(OpCode::Ping, &payload(n * 1_000 + m)));
            peer.write(&pings.collect::<Vec<_>>()).await;
            peer.pongs((n + 1) * 1_000).await;
        }
        let pongs = peer.pongs(50_000).await;
        assert!((0..50_000).all(|n| pongs[n] == payload(n)));
        // Between the fragments of a message, too.
        let send = "SEND\ndestination:/topic/fragments\n\nwhole\0";
        peer.subscribe("s", "/topic/fragments").await;
        let fragments = send.bytes().enumerate().flat_map(|(n, byte)| {
            let fragment = odd(if n == 0 { 1 } else { u8::from(n + 1 == send.len()) << 7 }, &[byte]);
            [fragment, masked(OpCode::Ping, b"between")].concat()
        });
        peer.write(&fragments.collect::<Vec<_>>()).await;
        assert_eq!(peer.body().await, "whole");
        peer.pongs(50_000 + send.len()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pings_and_does_not_read_is_too_slow() {
    attack(&["--max-queued-bytes", "20000"], async |world| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let token = world.person().await.token;
        let peer = Peer::dial_with(world.addr(), socket).await.upgraded("").await;
        let mut peer = peer.connected(&token, Version::V12).await;
        // More pongs than all buffers of the kernel hold, and the queue.
        let count = (crate::slow::kernel_buffers() + 1_000_000) / 127;
        let pings = masked(OpCode::Ping, &[b'x'; 125]).repeat(1_000);
        for _ in 0..count.div_ceil(1_000) {
            peer.write(&pings).await;
        }
        let farewell = peer.farewell().await;
        assert!(farewell.pongs < count, "{} of {count} pongs", farewell.pongs);
        assert_eq!(
            farewell.close,
            Some((1013, "too slow, reconnect and resume (MOYIZA_MAX_QUEUED_BYTES)".into()))
        );
        metric_becomes(world.addr(), "moyiza_connections_closed_total{reason=\"too-slow\"}", 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_tiny_frames_do_no_harm() {
    attack(&[], async |world| {
        let mut peer = connected(world).await;
        // Heart-beats, nothing at all, pongs that nobody asked for.
        for frame in [masked(OpCode::Text, b"\n"), masked(OpCode::Binary, b""), masked(OpCode::Pong, b"")] {
            let frames = frame.repeat(10_000);
            for _ in 0..100 {
                peer.write(&frames).await;
            }
            peer.works().await;
        }
        // A message of nothing, in very many parts.
        peer.write(&odd(0x01, b"")).await;
        for _ in 0..10 {
            peer.write(&odd(0x00, b"").repeat(10_000)).await;
        }
        peer.write(&odd(0x80, b"\n")).await;
        peer.works().await;
        // A STOMP frame, a byte in each.
        peer.subscribe("s", "/topic/tiny").await;
        let body = "가나다".repeat(6_000);
        let send = format!("SEND\ndestination:/topic/tiny\n\n{body}\0");
        let frames: Vec<u8> = send.bytes().flat_map(|byte| masked(OpCode::Binary, &[byte])).collect();
        peer.write(&frames).await;
        assert_eq!(peer.body().await, body);
        // Very many frames of the smallest kind.
        let begin =
            masked(OpCode::Text, b"BEGIN\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0").repeat(1_000);
        for _ in 0..20 {
            peer.write(&begin).await;
        }
        peer.works().await;
    })
    .await;
}

#[tokio::test]
async fn garbage_ends_its_connection_only() {
    attack(&["--frame-timeout-ms", "100", "--connect-timeout-ms", "100"], async |world| {
        let token = world.person().await.token;
        for seed in 0..100 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let length = dice.usize(1..5_000);
            let garbage: Vec<u8> = std::iter::repeat_with(|| dice.u8(..)).take(length).collect();
            let mut peer = Peer::open(world.addr()).await;
            if dice.bool() {
                peer = peer.connected(&token, Version::V12).await;
            }
            if dice.bool() {
                peer.write(&garbage).await;
            } else {
                peer.send(OpCode::Binary, &garbage).await;
            }
            let farewell = peer.farewell().await;
            // Or else it was a close, which is answered with its own code, or nothing but the beginning of something.
            let code = farewell.close.as_ref().map(|(code, _)| *code);
            assert!(
                farewell.clean && (farewell.error.is_some() || code.is_some()),
                "seed {seed}: {farewell:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_leaves_nothing() {
    attack(&["--connect-timeout-ms", "1000"], async |world| {
        let (anna, room) = {
            let anna = world.person().await;
            let room = world.room(&[&anna]).await;
            (anna, room)
        };
        let chat = format!("/chat/{room}");
        for n in 0..3_000 {
            let mut peer = Peer::dial(world.addr()).await;
            if n % 7 == 0 {
                continue;
            }
            if n % 7 == 1 {
                peer.write(HANDSHAKE.as_bytes()).await;
                continue;
            }
            peer = peer.upgraded("").await;
            if n % 7 == 2 {
                continue;
            }
            peer = peer.connected(&anna.token, Version::V12).await;
            peer.subscribe("s", "/topic/cycles").await;
            if n % 70 == 3 {
                peer.subscribe("r", &chat).await;
            }
            match n % 7 {
                // Without a word, with half a word, with a wrong one, properly.
                3 => {}
                4 => peer.write(&masked(OpCode::Text, b"SEND\n")[..8]).await,
                5 => peer.write(b"\xff\xff").await,
                _ => {
                    peer.say(Command::Disconnect, &[("receipt", "bye")], b"").await;
                    peer.receipt("bye").await;
                    peer.farewell().await.assert_code(1000);
                }
            }
        }
        // Nobody follows the topic any more but who does now.
        let mut peer = connected(world).await;
        peer.subscribe("s", "/topic/cycles").await;
        peer.publish("/topic/cycles", "alone").await;
        assert_eq!(peer.body().await, "alone");
    })
    .await;
}
