//! BEGIN, COMMIT, ABORT, and what is held in between.

use stomp::{
    Version,
    session::{Action, SessionSettings},
};

use crate::conversation::{Conversation, settings};

const BEGIN: &str = "BEGIN\ntransaction:t\n\n\0";
const COMMIT: &str = "COMMIT\ntransaction:t\n\n\0";
const ABORT: &str = "ABORT\ntransaction:t\n\n\0";

fn send(transaction: &str, body: &str) -> String {
    format!("SEND\ndestination:/a\ntransaction:{transaction}\n\n{body}\0")
}

fn begun() -> Conversation {
    let mut conversation = Conversation::connected(Version::V12);
    assert_eq!(conversation.say(BEGIN), [""; 0]);
    conversation
}

#[test]
fn what_is_held_is_done_at_commit_in_order() {
    for version in Version::ALL {
        let mut conversation = Conversation::connected(version);
        conversation.say(BEGIN);
        for body in ["1", "2", "3"] {
            assert_eq!(conversation.say(&send("t", body)), [""; 0]);
            // What is in no transaction does not wait.
            assert_eq!(conversation.ask("SEND\ndestination:/b\n\nnow\0"), "send /b now");
        }
        assert_eq!(conversation.ask(COMMIT), r#"commit ["send /a 1", "send /a 2", "send /a 3"]"#);
    }
}

#[test]
fn acknowledgements_are_held_too() {
    let mut conversation = begun();
    conversation.say("SUBSCRIBE\nid:s\ndestination:/a\nack:client-individual\n\n\0");
    conversation.deliver("s", [1, 2]);
    assert_eq!(conversation.say("ACK\nid:1@s\ntransaction:t\n\n\0"), [""; 0]);
    assert_eq!(conversation.say("NACK\nid:2@s\ntransaction:t\n\n\0"), [""; 0]);
    assert_eq!(conversation.waiting("s"), 2);
    assert_eq!(conversation.ask(COMMIT), r#"commit ["answered s", "answered s"]"#);
    assert_eq!(conversation.waiting("s"), 0);
}

#[test]
fn an_aborted_transaction_leaves_nothing() {
    let mut conversation = begun();
    conversation.say(&send("t", "1"));
    assert_eq!(conversation.say(ABORT), [""; 0]);
    // The name is free again.
    conversation.say(BEGIN);
    assert_eq!(conversation.ask(COMMIT), "commit []");
}

#[test]
fn transactions_do_not_mix() {
    let mut conversation = begun();
    conversation.say("BEGIN\ntransaction:u\n\n\0");
    conversation.say(&send("t", "1"));
    conversation.say(&send("u", "2"));
    assert_eq!(conversation.ask("COMMIT\ntransaction:u\n\n\0"), r#"commit ["send /a 2"]"#);
    assert_eq!(conversation.ask(COMMIT), r#"commit ["send /a 1"]"#);
}

#[test]
fn each_step_has_its_receipt() {
    let mut conversation = Conversation::connected(Version::V12);
    let with_receipt = |text: &str| text.replacen('\n', "\nreceipt:r\n", 1);
    assert_eq!(conversation.ask(&with_receipt(BEGIN)), "done, receipt r");
    assert_eq!(conversation.ask(&with_receipt(&send("t", "1"))), "done, receipt r");
    assert_eq!(conversation.ask(&with_receipt(COMMIT)), r#"commit ["send /a 1"], receipt r"#);
    conversation.say(BEGIN);
    assert_eq!(conversation.ask(&with_receipt(ABORT)), "done, receipt r");
}

#[test]
fn a_transaction_that_is_not_there_is_refused() {
    for text in [COMMIT, ABORT, &send("t", "1"), "ACK\nid:1@s\ntransaction:t\n\n\0"] {
        let mut conversation = Conversation::connected(Version::V12);
        assert_eq!(conversation.ask(text), "fail: there is no transaction \"t\"");
    }
    let mut conversation = begun();
    conversation.say(COMMIT);
    assert_eq!(conversation.ask(COMMIT), "fail: there is no transaction \"t\"");
}

#[test]
fn a_transaction_begins_once() {
    assert_eq!(begun().ask(BEGIN), "fail: the transaction \"t\" has begun already");
}

#[test]
fn transactions_are_bounded() {
    let mut conversation = begun();
    conversation.say("BEGIN\ntransaction:u\n\n\0");
    let third = "BEGIN\ntransaction:v\nreceipt:r\n\n\0";
    assert_eq!(conversation.ask(third), "fail: a connection may have 2 transactions at a time, receipt r");
}

#[test]
fn frames_of_all_transactions_are_bounded() {
    let mut conversation = begun();
    conversation.say("BEGIN\ntransaction:u\n\n\0");
    for transaction in ["t", "u", "t", "u"] {
        assert_eq!(conversation.say(&send(transaction, "x")), [""; 0]);
    }
    let fifth = conversation.ask(&send("u", "x"));
    assert_eq!(fifth, "fail: the transactions of a connection may hold 4 frames");
}

#[test]
fn bytes_of_all_transactions_are_bounded() {
    // Headers count: a frame without a body is not free.
    let header = format!("x:{}\n", "y".repeat(1500));
    for (body, headers) in [("z".repeat(1500), ""), (String::new(), &*header)] {
        let mut conversation = begun();
        let send = format!("SEND\ndestination:/a\ntransaction:t\n{headers}\n{body}\0");
        assert_eq!(conversation.say(&send), [""; 0]);
        let second = conversation.ask(&send);
        assert_eq!(second, "fail: the transactions of a connection may hold 2000 bytes");
    }
    // What was committed or aborted is given back.
    let mut conversation = Conversation::connected(Version::V12);
    for end in [COMMIT, ABORT, COMMIT] {
        conversation.say(BEGIN);
        assert_eq!(conversation.say(&send("t", &"z".repeat(1500))), [""; 0]);
        conversation.say(end);
    }
}

#[test]
fn what_is_held_does_not_hold_what_it_came_with() {
    let settings = SessionSettings { transaction_frames: 100, ..settings() };
    let mut conversation = Conversation::connected_with(settings, Version::V12, "0,0");
    // One piece of the stream, which the first body and the second would keep whole between them.
    let piece = format!("{BEGIN}{}SEND\ndestination:/b\n\nlarge\0{COMMIT}", send("t", "small"));
    conversation.session.receive(piece.as_bytes(), conversation.now);
    let Some(Action::Send { send: large, .. }) = conversation.session.poll(conversation.now) else {
        panic!()
    };
    let Some(Action::Commit { sends, .. }) = conversation.session.poll(conversation.now) else { panic!() };
    assert_eq!((&sends[0].body[..], &large.body[..]), (&b"small"[..], &b"large"[..]));
    assert!(sends[0].body.is_unique(), "a held body shares the memory of the piece that it came in");
}
