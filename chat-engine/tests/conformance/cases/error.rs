//! "ERROR".

use crate::{client::Next, stage::Stage};

const WRONG: &str = "SEND\ndestination:/nowhere\n\nhello^@";

pub(crate) fn the_server_closes_behind_it(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("{WRONG}BEGIN\ntransaction:t\nreceipt:late\n\n^@"));
    assert_eq!(client.frame().command, "ERROR");
    // A WebSocket is closed by a close frame, and then TCP.
    let closed = client.next();
    assert!(matches!(closed, Next::Close(Some(_))), "{closed:?}");
    assert!(matches!(client.next(), Next::End));
}

pub(crate) fn it_has_a_short_message(stage: &Stage) {
    let mut client = stage.connect();
    client.say(WRONG);
    let error = client.error();
    let message = error.needs("message");
    assert!((1..=80).contains(&message.len()), "{message:?}");
}

pub(crate) fn its_body_says_more(stage: &Stage) {
    let mut client = stage.connect();
    client.say(WRONG);
    let error = client.error();
    assert!(error.text().contains("/nowhere"), "{error:?} {}", error.text());
}

pub(crate) fn it_has_a_length_and_a_type(stage: &Stage) {
    let mut client = stage.connect();
    client.say(WRONG);
    let error = client.error();
    assert_eq!(error.needs("content-length"), error.body.len().to_string());
    assert!(error.needs("content-type").starts_with("text/plain"), "{error:?}");
}

pub(crate) fn it_names_the_frame_that_caused_it(stage: &Stage) {
    let wrong = [
        "SEND\ndestination:/nowhere\nreceipt:mine\n\nhello^@",
        "SEND\nreceipt:mine\n\nhello^@",
        "SUBSCRIBE\nid:s\ndestination:/nowhere\nreceipt:mine\n\n^@",
        "COMMIT\ntransaction:unknown\nreceipt:mine\n\n^@",
        "UNSUBSCRIBE\nid:unknown\nreceipt:mine\n\n^@",
        "ACK\nid:unknown\nsubscription:s\nmessage-id:unknown\nreceipt:mine\n\n^@",
    ];
    for frame in wrong {
        let mut client = stage.connect();
        // The receipt of another frame is not its own.
        client.say_and_wait("BEGIN\ntransaction:t\nreceipt:done\n\n^@");
        client.say(frame);
        assert_eq!(client.error().header("receipt-id"), Some("mine"), "{frame}");
    }
}

pub(crate) fn no_receipt_id_where_none_was_asked(stage: &Stage) {
    let mut client = stage.connect();
    client.say_and_wait("BEGIN\ntransaction:t\nreceipt:done\n\n^@");
    client.say(WRONG);
    assert_eq!(client.error().header("receipt-id"), None);
}

pub(crate) fn it_ends_one_connection_only(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let mut client = stage.connect();
    client.say(WRONG);
    client.error();
    speaker.send(&topic, "hello");
    assert_eq!(listener.message().text(), "hello");
}
