//! "RECEIPT", "Header receipt".

use crate::{frame::Frame, requirements::Version, stage::Stage};

/// The frame's receipt, which has nothing but its id.
fn check(receipt: &Frame) {
    assert_eq!((receipt.needs("receipt-id"), receipt.body.len()), ("done", 0));
}

pub(crate) fn of_send(stage: &Stage) {
    let mut client = stage.connect();
    check(&client.say_and_wait(&format!("SEND\ndestination:{}\nreceipt:done\n\nhello^@", stage.topic())));
}

pub(crate) fn of_subscribe_and_unsubscribe(stage: &Stage) {
    let topic = stage.topic();
    let mut client = stage.connect();
    check(&client.say_and_wait(&format!("SUBSCRIBE\nid:s\ndestination:{topic}\nreceipt:done\n\n^@")));
    check(&client.say_and_wait("UNSUBSCRIBE\nid:s\nreceipt:done\n\n^@"));
}

pub(crate) fn of_begin_commit_and_abort(stage: &Stage) {
    let mut client = stage.connect();
    for end in ["COMMIT", "ABORT"] {
        check(&client.say_and_wait("BEGIN\ntransaction:t\nreceipt:done\n\n^@"));
        check(&client.say_and_wait(&format!("{end}\ntransaction:t\nreceipt:done\n\n^@")));
    }
}

pub(crate) fn of_what_is_in_a_transaction(stage: &Stage) {
    let mut client = stage.connect();
    client.say("BEGIN\ntransaction:t\n\n^@");
    let send = format!("SEND\ndestination:{}\ntransaction:t\nreceipt:done\n\nhello^@", stage.topic());
    check(&client.say_and_wait(&send));
}

pub(crate) fn of_ack_and_nack(stage: &Stage) {
    let commands = if stage.version == Version::V10 { &["ACK"][..] } else { &["ACK", "NACK"] };
    for command in commands {
        let topic = stage.topic();
        let mut client = stage.connect();
        client.subscribe("s", &topic, "ack:client\n");
        client.send(&topic, "hello");
        let message = client.message();
        let which = match stage.version {
            Version::V12 => format!("id:{}", message.raw("ack")),
            _ => format!("subscription:s\nmessage-id:{}", message.raw("message-id")),
        };
        check(&client.say_and_wait(&format!("{command}\n{which}\nreceipt:done\n\n^@")));
    }
}

pub(crate) fn of_disconnect(stage: &Stage) {
    let mut client = stage.connect();
    check(&client.say_and_wait("DISCONNECT\nreceipt:done\n\n^@"));
}

pub(crate) fn its_id_is_arbitrary(stage: &Stage) {
    let mut client = stage.connect();
    for id in ["message-12345", "값 😀", "a b", "0"] {
        client.say(&format!("BEGIN\ntransaction:{id}\nreceipt:{id}\n\n^@"));
        assert_eq!(client.expect("RECEIPT").needs("receipt-id"), id);
    }
}

pub(crate) fn not_of_connect(stage: &Stage) {
    let mut client = stage.connect_with(stage.version, "receipt:connect\n");
    client.say("BEGIN\ntransaction:t\nreceipt:begin\n\n^@");
    assert_eq!(client.expect("RECEIPT").needs("receipt-id"), "begin");
}

pub(crate) fn none_unless_asked(stage: &Stage) {
    let mut client = stage.connect();
    client.say("BEGIN\ntransaction:t\n\n^@");
    client.say("BEGIN\ntransaction:u\nreceipt:u\n\n^@");
    assert_eq!(client.expect("RECEIPT").needs("receipt-id"), "u");
}

pub(crate) fn frames_before_it_were_received(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for n in 0..20 {
        speaker.say(&format!("SEND\ndestination:{topic}\n\n{n}^@"));
    }
    speaker.send(&topic, "last");
    // Even if it is gone now.
    drop(speaker);
    let texts: Vec<_> = (0..21).map(|_| listener.message().text().to_owned()).collect();
    assert_eq!(texts.last().map(String::as_str), Some("last"));
}
