//! `/echo`: the WebSocket layer by itself.

use websocket::{DataKind, Deflate, OpCode};

use crate::{
    peer::{Peer, masked},
    world::{Backing, World, with_world_as},
};

async fn echoing(settings: &[&str], test: impl AsyncFnOnce(&World)) {
    let settings: Vec<_> = ["--development"].into_iter().chain(settings.iter().copied()).collect();
    with_world_as(Backing::Embedded, &settings, test).await;
}

async fn open(world: &World, headers: &str) -> Peer {
    Peer::dial(world.addr()).await.upgraded_at("/echo", headers).await
}

fn fragment(opcode: OpCode, last: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked(opcode, payload);
    frame[0] = opcode as u8 | u8::from(last) << 7;
    frame
}

#[tokio::test]
async fn messages_come_back_as_they_are() {
    echoing(&[], async |world| {
        let mut peer = open(world, "").await;
        let large = vec![0xff; 3_000_000];
        let cases = [
            (OpCode::Text, DataKind::Text, "메아리\0\n".as_bytes()),
            (OpCode::Text, DataKind::Text, b""),
            (OpCode::Binary, DataKind::Binary, b"\xff\x00\xfe"),
            (OpCode::Binary, DataKind::Binary, b""),
            (OpCode::Binary, DataKind::Binary, &large),
        ];
        for (opcode, kind, payload) in cases {
            peer.send(opcode, payload).await;
            assert_eq!(peer.message().await.expect("an echo"), (kind, payload.to_vec(), false));
        }
        // One behind the other, without waiting.
        for n in 0..100 {
            peer.send(OpCode::Text, n.to_string().as_bytes()).await;
        }
        for n in 0..100 {
            assert_eq!(peer.message().await.expect("an echo").1, n.to_string().into_bytes());
        }
    })
    .await;
}

#[tokio::test]
async fn fragments_come_back_whole_and_a_ping_between_them_is_answered_at_once() {
    echoing(&[], async |world| {
        let mut peer = open(world, "").await;
        // Cut within a character.
        let (head, tail) = "가나다".as_bytes().split_at(4);
        peer.write(&fragment(OpCode::Text, false, head)).await;
        peer.send(OpCode::Ping, b"still there?").await;
        assert_eq!(peer.pongs(1).await, [b"still there?"]);
        peer.write(&fragment(OpCode::Continue, false, b"")).await;
        peer.write(&fragment(OpCode::Continue, true, tail)).await;
        let echo = peer.message().await.expect("an echo");
        assert_eq!(echo, (DataKind::Text, "가나다".as_bytes().to_vec(), false));
    })
    .await;
}

#[tokio::test]
async fn compressed_messages_come_back_compressed_if_they_are_long() {
    echoing(&["--compress-from-bytes", "1000"], async |world| {
        let mut peer = open(world, "Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
        for (length, compressed) in [(999, false), (1_000, true), (500_000, true)] {
            let text = vec![b'x'; length];
            let mut frame = Vec::new();
            assert!(Deflate::default().compress_masked(DataKind::Text, &text, [7; 4], &mut frame));
            peer.write(&frame).await;
            assert_eq!(peer.message().await.expect("an echo"), (DataKind::Text, text, compressed));
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_or_breaks_the_rfc_is_closed_and_named() {
    echoing(&["--max-message-bytes", "1000"], async |world| {
        let cases = [
            (masked(OpCode::Binary, &[0; 1_001]), 1009, "a message is longer than 1000 bytes"),
            (fragment(OpCode::Continue, true, b"x"), 1002, "a continuation frame continues nothing"),
            (masked(OpCode::Text, b"\xff"), 1007, "a text message is not UTF-8"),
        ];
        for (bytes, code, reason) in cases {
            let mut peer = open(world, "").await;
            peer.send(OpCode::Binary, &[0; 1_000]).await;
            assert_eq!(peer.message().await.expect("an echo").1, [0; 1_000]);
            peer.write(&bytes).await;
            let farewell = peer.farewell().await;
            assert_eq!(farewell.close, Some((code, reason.to_owned())));
            assert!(farewell.clean && farewell.error.is_none(), "{farewell:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_ends_tcp_for_a_peer_that_closed_first() {
    echoing(&[], async |world| {
        // The server was the first to close this one: it waits, though not for ever, for it to go.
        let mut awaited = open(world, "").await;
        awaited.write(&fragment(OpCode::Continue, true, b"x")).await;
        assert_eq!(awaited.message().await, None);
        let mut peer = open(world, "").await;
        peer.send(OpCode::Text, b"last words").await;
        peer.send(OpCode::Close, &[&1001_u16.to_be_bytes(), &b"bye"[..]].concat()).await;
        assert_eq!(peer.message().await.expect("an echo").1, b"last words");
        assert_eq!(peer.message().await, None);
        // RFC 6455 §7.1.1. Nothing more is sent from here, nor is the socket closed.
        tokio::select! {
            biased;
            end = awaited.bytes() => panic!("it took as long as for a peer that does not answer: {end:?}"),
            end = peer.bytes() => assert_eq!(end, None),
        }
        let farewell = peer.farewell().await;
        assert_eq!(farewell.close, Some((1001, String::new())));
        assert!(farewell.clean, "{farewell:?}");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_goes_away_says_so_without_stomp() {
    echoing(&[], async |world| {
        let mut peer = open(world, "").await;
        peer.send(OpCode::Text, b"here").await;
        assert_eq!(peer.message().await.expect("an echo").1, b"here");
        let ((), farewell) = tokio::join!(world.stop(), peer.farewell());
        let reason = "the server is going away, reconnect and resume";
        assert_eq!(farewell.close, Some((1012, reason.to_owned())));
        assert!(farewell.clean && farewell.error.is_none(), "{farewell:?}");
    })
    .await;
}
