//! CONNECT, and what comes before anybody is let in.

use stomp::{
    ByteString, Version,
    session::{Action, Late},
};

use crate::conversation::{Conversation, settings};

fn fresh() -> Conversation {
    Conversation::new(settings(), None)
}

fn token(headers: &str) -> Option<ByteString> {
    let mut conversation = fresh();
    conversation.session.receive(format!("CONNECT\n{headers}\n\0").as_bytes(), conversation.now);
    match conversation.session.poll(conversation.now) {
        Some(Action::Authenticate(connect)) => connect.token,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connect_and_stomp_are_one() {
    for command in ["CONNECT", "STOMP"] {
        let mut conversation = fresh();
        assert_eq!(conversation.ask(&format!("{command}\naccept-version:1.2\n\n\0")), "authenticate 1.2");
    }
}

#[test]
fn the_first_frame_is_connect() {
    for command in ["SEND", "SUBSCRIBE", "DISCONNECT", "CONNECTED", "MESSAGE", "BEGIN"] {
        let text = format!("{command}\ndestination:/a\nid:1\ntransaction:t\nreceipt:r\n\n\0");
        assert_eq!(fresh().ask(&text), "fail: the first frame is CONNECT or STOMP, receipt r");
    }
}

#[test]
fn connect_comes_once() {
    for command in ["CONNECT", "STOMP"] {
        let mut conversation = Conversation::connected(Version::V12);
        let again = format!("{command}\naccept-version:1.2\n\n\0");
        assert_eq!(conversation.ask(&again), "fail: CONNECT came twice");
    }
}

#[test]
fn nothing_is_done_until_the_client_is_let_in() {
    let mut conversation = fresh();
    let send = "SEND\ndestination:/a\n\nx\0";
    let connect = "CONNECT\naccept-version:1.2\n\n\0";
    assert_eq!(conversation.say(&format!("\n{connect}{send}")), ["authenticate 1.2"]);
    assert_eq!(conversation.say(send), [""; 0]);
    assert_eq!(conversation.session.version(), None);
    assert_eq!(conversation.accept(), ["send /a x", "send /a x"]);
    assert_eq!(conversation.session.version(), Some(Version::V12));
}

#[test]
fn letting_in_twice_or_unasked_changes_nothing() {
    let mut conversation = fresh();
    assert_eq!(conversation.accept(), [""; 0]);
    assert_eq!(conversation.session.version(), None);
    let mut conversation = Conversation::connected(Version::V11);
    conversation.say("SUBSCRIBE\nid:a\ndestination:/a\n\n\0");
    conversation.accept();
    assert_eq!((conversation.session.version(), conversation.open()), (Some(Version::V11), vec!["a"]));
}

#[test]
fn the_token_is_a_bearers_or_the_passcode() {
    assert_eq!(token("Authorization:Bearer abc\n").unwrap(), "abc");
    assert_eq!(token("authorization:bearer  abc \n").unwrap(), "abc");
    assert_eq!(token("login:me\npasscode:abc\n").unwrap(), "abc");
    assert_eq!(token("passcode:no\nAuthorization:Bearer yes\n").unwrap(), "yes");
    assert_eq!(token("Authorization:Basic eHg=\n"), None);
    assert_eq!(token(""), None);
}

#[test]
fn connect_is_not_unescaped() {
    assert_eq!(token("accept-version:1.2\npasscode:a\\cb\\n\\x\\\n").unwrap(), "a\\cb\\n\\x\\");
}

#[test]
fn the_first_of_a_repeated_header_counts() {
    assert_eq!(token("passcode:first\npasscode:second\n").unwrap(), "first");
    assert_eq!(fresh().ask("CONNECT\naccept-version:1.1\naccept-version:1.2\n\n\0"), "authenticate 1.1");
    let mut conversation = Conversation::connected(Version::V12);
    let send = "SEND\ndestination:/first\ndestination:/second\nreceipt:1\nreceipt:2\n\n\0";
    assert_eq!(conversation.ask(send), "send /first , receipt 1");
}

#[test]
fn a_bad_heart_beat_is_refused() {
    for bad in ["", "1", "a,b", "1,2,3", "-1,0", "1.5,0", "4294967296,0"] {
        let did = fresh().ask(&format!("CONNECT\naccept-version:1.2\nheart-beat:{bad}\n\n\0"));
        assert!(did.starts_with("fail: heart-beat"), "{bad}: {did}");
    }
}

#[test]
fn connect_comes_in_time_and_so_does_the_answer() {
    use stomp::session::Due;
    let mut conversation = fresh();
    conversation.wait(9);
    // Line ends and half a frame do not buy time.
    conversation.say("\n\nCONNECT\n");
    assert_eq!((conversation.due(), conversation.deadline().as_secs()), (Due::Nothing, 1));
    assert_eq!(conversation.say("accept-version:1.2\n\n\0"), ["authenticate 1.2"]);
    conversation.wait(1);
    assert_eq!(conversation.due(), Due::Close(Late::Connect));
    conversation.accept();
    assert_eq!(conversation.due(), Due::Nothing);
}
