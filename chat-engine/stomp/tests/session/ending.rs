//! DISCONNECT, receipts and violations.

use stomp::Version;

use crate::conversation::Conversation;

const SEND: &str = "SEND\ndestination:/a\n\nx\0";

#[test]
fn nothing_is_done_behind_disconnect() {
    let mut conversation = Conversation::connected(Version::V12);
    let all = format!("{SEND}DISCONNECT\nreceipt:r\n\n\0{SEND}nonsense");
    assert_eq!(conversation.say(&all), ["send /a x", "disconnect, receipt r"]);
    assert_eq!(conversation.say(SEND), [""; 0]);
    assert_eq!(conversation.accept(), [""; 0]);
}

#[test]
fn nothing_is_done_behind_a_violation() {
    let mut conversation = Conversation::connected(Version::V12);
    conversation.say("SUBSCRIBE\nid:a\ndestination:/a\n\n\0");
    let all = format!("HELLO\n\n\0{SEND}");
    assert_eq!(conversation.say(&all), ["fail: unknown command \"HELLO\""]);
    assert_eq!(conversation.say(SEND), [""; 0]);
    // Its subscriptions are still to be ended by whoever serves them.
    assert_eq!(conversation.session.end(), ["a"]);
    assert_eq!(conversation.session.end(), [""; 0]);
}

#[test]
fn nothing_is_done_behind_the_end() {
    let mut conversation = Conversation::connected(Version::V12);
    assert_eq!(conversation.session.end(), [""; 0]);
    assert_eq!(conversation.say(SEND), [""; 0]);
}

#[test]
fn disconnect_needs_no_receipt_and_aborts_transactions() {
    let mut conversation = Conversation::connected(Version::V10);
    conversation.say("BEGIN\ntransaction:t\n\n\0");
    conversation.say("SEND\ndestination:/a\ntransaction:t\n\nx\0");
    assert_eq!(conversation.say("DISCONNECT\n\n\0COMMIT\ntransaction:t\n\n\0"), ["disconnect"]);
}

#[test]
fn any_frame_may_ask_for_a_receipt() {
    let mut conversation = Conversation::connected(Version::V12);
    for (frame, did) in [
        ("SEND\ndestination:/a\nreceipt:1\n\n\0", "send /a , receipt 1"),
        (
            "SUBSCRIBE\nid:a\ndestination:/a\nack:client\nreceipt:2\n\n\0",
            "subscribe a to /a Client, receipt 2",
        ),
        ("BEGIN\ntransaction:t\nreceipt:3\n\n\0", "done, receipt 3"),
        ("ABORT\ntransaction:t\nreceipt:4\n\n\0", "done, receipt 4"),
        ("UNSUBSCRIBE\nid:a\nreceipt:5\n\n\0", "unsubscribe a, receipt 5"),
        ("DISCONNECT\nreceipt:6\n\n\0", "disconnect, receipt 6"),
    ] {
        assert_eq!(conversation.ask(frame), did);
    }
}

#[test]
fn a_refused_frame_is_named_by_its_receipt() {
    let mut conversation = Conversation::connected(Version::V12);
    let did = conversation.ask("COMMIT\ntransaction:t\nreceipt:r\\c1\n\n\0");
    assert_eq!(did, "fail: there is no transaction \"t\", receipt r:1");
}

#[test]
fn a_servers_frames_are_not_for_servers() {
    for command in ["MESSAGE", "RECEIPT", "ERROR", "CONNECTED"] {
        let did = Conversation::connected(Version::V12).ask(&format!("{command}\n\n\0"));
        assert_eq!(did, format!("fail: {command} is not a client's frame"));
    }
}

#[test]
fn only_send_has_a_body() {
    // STOMP 1.1 and 1.2 "Body"; 1.0 does not say so.
    let frame = "BEGIN\ntransaction:t\nreceipt:r\n\nx\0";
    for version in [Version::V11, Version::V12] {
        assert_eq!(Conversation::connected(version).ask(frame), "fail: BEGIN has no body, receipt r");
    }
    assert_eq!(Conversation::connected(Version::V10).ask(frame), "done, receipt r");
}

#[test]
fn a_frame_that_cannot_be_read_is_named_by_its_receipt_if_that_can() {
    for broken in [
        "HELLO\nreceipt:mine\n\n\0",
        "SEND\nreceipt:mine\nno colon\n\n\0",
        "SEND\nreceipt:mine\ncontent-length:x\n\n\0",
        "SEND\nreceipt:mine\ncontent-length:1\n\nxyz\0",
    ] {
        let mut conversation = Conversation::connected(Version::V12);
        let said = conversation.ask(broken);
        assert!(said.starts_with("fail: ") && said.ends_with(", receipt mine"), "{broken:?}: {said}");
    }
}
