//! What a client does wrong is named, and ends its own connection only.

use stomp::Command;

use crate::{
    client::Client,
    world::{Backing, World, with_world_as},
};

async fn a_frame_that_cannot_be_done_is_named(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let chat = format!("/app/chat/{room}");
    let long = format!("SEND\ndestination:{chat}\n\n{{\"content\":\"{}\"}}\0", "x".repeat(8193));
    let bad_id = format!("SEND\ndestination:{chat}\nclient-id:\n\n{{\"content\":\"x\"}}\0");
    let cases = [
        ("HELLO\n\n\0".to_owned(), "protocol violation", "unknown command \"HELLO\""),
        ("SEND\n\n\0".into(), "protocol violation", "SEND needs the header \"destination\""),
        ("CONNECT\n\n\0".into(), "protocol violation", "CONNECT came twice"),
        ("MESSAGE\n\n\0".into(), "protocol violation", "MESSAGE is not a client's frame"),
        ("UNSUBSCRIBE\nid:x\n\n\0".into(), "protocol violation", "there is no subscription \"x\""),
        (
            "SEND\ndestination:/chat/1\n\n{}\0".into(),
            "unknown destination",
            "there is no destination \"/chat/1\" to SEND to",
        ),
        (
            "SUBSCRIBE\nid:1\ndestination:/x\n\n\0".into(),
            "unknown destination",
            "there is no destination \"/x\" to SUBSCRIBE to",
        ),
        (format!("SEND\ndestination:{chat}\n\nhello\0"), "bad body", "the body is not {\"content\": \"…\"}"),
        (format!("SEND\ndestination:{chat}\n\n{{\"content\":\" \"}}\0"), "bad body", "the message is empty"),
        (long, "message too long", "the message is 8193 bytes long; 8192 are allowed"),
        (bad_id, "bad header", "the header \"client-id\" is \"\""),
        (
            format!("SUBSCRIBE\nid:1\ndestination:/chat/{room}\nhistory:201\n\n\0"),
            "bad header",
            "the header \"history\" is \"201\": expected 0 to 200",
        ),
    ];
    for (frame, title, text) in cases {
        let mut client = world.connect(&anna).await;
        client.send_raw(&frame).await;
        let error = client.expect_only_error().await;
        assert_eq!(error.0, title, "{frame}");
        assert!(error.1.starts_with(text), "{frame}: {}", error.1);
    }
}

async fn a_frame_beyond_the_limit_is_refused_and_not_reset(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut client = world.connect(&anna).await;
    client.send_raw(&format!("SEND\ndestination:/app/chat/{room}\n\n{}\0", "x".repeat(3_000_000))).await;
    let (title, text) = client.expect_only_error().await;
    assert_eq!(title, "frame too long");
    assert!(text.contains("longer") && text.contains("2097152"), "{text}");
}

async fn a_close_is_answered(world: &World) {
    let anna = world.person().await;
    let client = world.connect(&anna).await;
    assert!(client.close().await, "the server answers with a close of its own");
}

async fn disconnect_waits_for_history_and_subscriptions(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    world.connect(&anna).await.post(room, "먼저").await;
    let mut client = world.connect(&anna).await;
    let destination = format!("/chat/{room}");
    let headers = [("id", "s"), ("destination", &*destination), ("history", "5"), ("receipt", "s")];
    client.send(Command::Subscribe, &headers, "").await;
    let history = format!("/app/history/{room}");
    client.send(Command::Send, &[("destination", &*history), ("receipt", "h")], "").await;
    client.send(Command::Disconnect, &[("receipt", "bye")], "").await;
    let mut receipts = Vec::new();
    while let Some(frame) = client.next().await {
        receipts.extend(frame.headers.first("receipt-id").map(ToString::to_string));
    }
    assert_eq!(receipts, ["s", "h", "bye"]);
}

async fn an_error_names_the_frame_that_caused_it(world: &World) {
    let anna = world.person().await;
    let mut client = world.connect(&anna).await;
    client.send(Command::Send, &[("destination", "/nowhere"), ("receipt", "mine")], "").await;
    let error = client.expect(Command::Error).await;
    assert_eq!(error.headers.first("receipt-id").unwrap(), "mine");
}

async fn the_first_frame_is_connect(world: &World) {
    let mut client = Client::open(world.addr()).await;
    client.send(Command::Send, &[("destination", "/app/chat/1")], "").await;
    assert_eq!(client.expect_only_error().await.1, "the first frame is CONNECT or STOMP");
}

#[tokio::test]
async fn who_never_says_connect_is_closed() {
    with_world_as(Backing::Embedded, &["--connect-timeout-ms", "50"], async |world| {
        let client = Client::open(world.addr()).await;
        assert!(client.expect_only_error().await.1.starts_with("no CONNECT in time"));
    })
    .await;
}

async fn frames_may_be_split_and_packed(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut client = world.connect_to(&anna, room).await;
    let send = format!("SEND\ndestination:/app/chat/{room}\nreceipt:1\n\n{{\"content\":\"나뉜 말\"}}\0");
    let (head, rest) = send.split_at(20);
    client.send_raw(head).await;
    client.send_raw(&format!("{rest}\n\n{}", send.replace("receipt:1", "receipt:2"))).await;
    client.expect_receipt("1").await;
    client.expect_receipt("2").await;
}

async fn disconnect_waits_for_every_send(world: &World) {
    let anna = world.person().await;
    let room = world.room(&[&anna]).await;
    let mut client = world.connect(&anna).await;
    for n in 0..20 {
        client.post_only(room, "x", &n.to_string()).await;
    }
    client.send(Command::Disconnect, &[("receipt", "bye")], "").await;
    // In the order of the log, and the one for DISCONNECT behind them all.
    for expected in (0..20).map(|n| n.to_string()).chain(["bye".to_owned()]) {
        let receipt = client.next().await.expect("a receipt");
        assert_eq!(receipt.headers.first("receipt-id").unwrap(), &*expected);
    }
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_the_others_go_on() {
    with_world_as(Backing::Embedded, &["--max-queued-bytes", "20000"], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut stuck = world.connect_to(&bo, room).await;
        let text = "x".repeat(8000);
        // More than the sockets' buffers hold: the queue fills at last. Its reader being gone, Bo counts again.
        loop {
            a.post(room, &text).await;
            if a.expect_shown().await.unread == 1 {
                break;
            }
        }
        while let Some(frame) = stuck.next().await {
            assert_eq!(frame.command, Command::Message);
        }
    })
    .await;
}

crate::world::on_both_backends!(
    a_frame_that_cannot_be_done_is_named,
    an_error_names_the_frame_that_caused_it,
    a_frame_beyond_the_limit_is_refused_and_not_reset,
    a_close_is_answered,
    disconnect_waits_for_history_and_subscriptions,
    the_first_frame_is_connect,
    frames_may_be_split_and_packed,
    disconnect_waits_for_every_send,
);
