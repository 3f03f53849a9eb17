//! RFC 6455: the sub-protocol, and the frames that carry it.

use crate::{
    client::{Client, Next},
    requirements::Version,
    stage::Stage,
    websocket::{BINARY, CLOSE, CONTINUATION, PING, Received, Response, TEXT, WebSocket},
};

fn ask(stage: &Stage, headers: &str) -> (WebSocket, Response) {
    WebSocket::ask(stage.addr(), headers)
}

#[track_caller]
fn check(stage: &Stage, headers: &str, answered: &[&str]) {
    let (_, response) = ask(stage, headers);
    assert_eq!((response.status, &*response.all("Sec-WebSocket-Protocol")), (101, answered), "{headers}");
}

pub(crate) fn one_of_the_offered_is_chosen(stage: &Stage) {
    for known in ["v10.stomp", "v11.stomp", "v12.stomp"] {
        check(stage, &format!("Sec-WebSocket-Protocol: {known}\r\n"), &[known]);
        check(stage, &format!("Sec-WebSocket-Protocol: chat, {known},v99.stomp\r\n"), &[known]);
    }
}

pub(crate) fn the_newest_is_preferred(stage: &Stage) {
    check(stage, "Sec-WebSocket-Protocol: v10.stomp, v11.stomp, v12.stomp\r\n", &["v12.stomp"]);
    check(stage, "Sec-WebSocket-Protocol: v11.stomp, v10.stomp\r\n", &["v11.stomp"]);
}

pub(crate) fn the_header_may_come_in_parts(stage: &Stage) {
    let parts = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: v10.stomp\r\nsec-websocket-protocol: v11.stomp\r\n";
    check(stage, parts, &["v11.stomp"]);
}

pub(crate) fn none_is_answered_when_none_was_offered(stage: &Stage) {
    check(stage, "", &[]);
}

pub(crate) fn nothing_known_is_refused(stage: &Stage) {
    for offered in ["chat", "v13.stomp", "stomp", "v12.stomp2"] {
        let (_, response) = ask(stage, &format!("Sec-WebSocket-Protocol: {offered}\r\n"));
        assert_eq!((response.status, response.all("Sec-WebSocket-Protocol").len()), (400, 0), "{offered}");
        for known in ["v10.stomp", "v11.stomp", "v12.stomp"] {
            assert!(response.body.contains(known), "{:?}", response.body);
        }
    }
}

pub(crate) fn names_are_compared_as_they_are(stage: &Stage) {
    let (_, response) = ask(stage, "Sec-WebSocket-Protocol: V12.STOMP\r\n");
    assert_eq!((response.status, response.all("Sec-WebSocket-Protocol").len()), (400, 0), "{response:?}");
}

pub(crate) fn without_one_stomp_negotiates(stage: &Stage) {
    for (accept, agreed) in [
        ("accept-version:1.0,1.1\n", "1.1"),
        ("accept-version:1.1\n", "1.1"),
        ("accept-version:1.2,1.1\n", "1.2"),
    ] {
        let mut client = Client::open(stage.addr(), None);
        client.say(&format!("CONNECT\n{accept}host:test\npasscode:{}\n\n^@", stage.token()));
        assert_eq!(client.expect("CONNECTED").needs("version"), agreed);
    }
}

/// The version agreed on by a client that offers this sub-protocol and accepts these versions.
fn agreed(stage: &Stage, offers: Version, accepts: &str) -> String {
    let mut client = Client::open(stage.addr(), Some(offers));
    client.say(&format!("CONNECT\n{accepts}host:test\npasscode:{}\n\n^@", stage.token()));
    client.expect("CONNECTED").needs("version").to_owned()
}

pub(crate) fn the_sub_protocol_is_spoken(stage: &Stage) {
    for offers in [Version::V11, Version::V12] {
        assert_eq!(agreed(stage, offers, "accept-version:1.0,1.1,1.2\n"), offers.name());
    }
}

pub(crate) fn connect_has_the_last_word(stage: &Stage) {
    assert_eq!(agreed(stage, Version::V11, "accept-version:1.2\n"), "1.2");
    assert_eq!(agreed(stage, Version::V12, "accept-version:1.0,1.1\n"), "1.1");
}

pub(crate) fn no_extension_unless_offered(stage: &Stage) {
    let (_, response) = ask(stage, "");
    assert!(response.all("Sec-WebSocket-Extensions").is_empty(), "{response:?}");
}

pub(crate) fn frames_that_are_not_masked_end_it(stage: &Stage) {
    let mut client = stage.connect();
    client.socket.send_unmasked(TEXT, b"BEGIN\ntransaction:t\nreceipt:r\n\n\0");
    let code = loop {
        match client.next() {
            Next::Close(code) => break code,
            Next::Item(crate::frame::Item::Frame(frame)) => assert_eq!(frame.command, "ERROR"),
            Next::Item(crate::frame::Item::LineEnd) => {}
            Next::End => break Some(1002),
        }
    };
    assert_eq!(code, Some(1002));
}

pub(crate) fn a_server_does_not_mask(stage: &Stage) {
    // The reader of every case holds it to that.
    let mut client = stage.connect();
    client.say_and_wait("BEGIN\ntransaction:t\nreceipt:done\n\n^@");
}

pub(crate) fn messages_may_be_fragmented(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let frame = format!("SEND\ndestination:{topic}\n\n값\0");
    for opcode in [TEXT, BINARY] {
        let bytes = frame.as_bytes();
        // In the midst of a character, with a control frame and an empty fragment between.
        let (head, rest) = bytes.split_at(bytes.len() - 3);
        speaker.socket.send(opcode, false, head);
        speaker.socket.send(PING, true, b"between");
        speaker.socket.send(CONTINUATION, false, b"");
        speaker.socket.send(CONTINUATION, true, rest);
        assert_eq!(listener.message().text(), "값");
    }
}

pub(crate) fn pings_are_answered(stage: &Stage) {
    let mut client = stage.connect();
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        client.socket.send(PING, true, payload);
        match client.socket.receive() {
            Received::Pong(echoed) => assert_eq!(echoed, payload),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn a_close_is_answered(stage: &Stage) {
    let mut client = stage.connect();
    client.socket.send(CLOSE, true, &1000_u16.to_be_bytes());
    let closed = client.next();
    assert!(matches!(closed, Next::Close(Some(1000))), "{closed:?}");
    assert!(matches!(client.next(), Next::End));
}

pub(crate) fn the_server_closes_tcp(stage: &Stage) {
    let mut client = stage.connect();
    client.say("DISCONNECT\n\n^@");
    assert_eq!(client.closed(), Some(1000));
}

pub(crate) fn text_is_utf_8(stage: &Stage) {
    let mut client = stage.connect();
    client.socket.send(TEXT, true, &[b'S', 0xff, 0xfe]);
    let code = loop {
        match client.next() {
            Next::Close(code) => break code,
            Next::Item(_) => {}
            Next::End => break None,
        }
    };
    assert_eq!(code, Some(1007));
}

pub(crate) fn what_is_not_utf_8_comes_as_binary(stage: &Stage) {
    super::body::a_body_without_a_type_is_a_blob(stage);
}
