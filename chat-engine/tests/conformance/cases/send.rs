//! "SEND".

use crate::stage::Stage;

pub(crate) fn the_body_is_the_message(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    speaker.say(&format!("SEND\ndestination:{topic}\ncontent-type:text/plain\n\nhello queue a\n^@"));
    assert_eq!(listener.message().text(), "hello queue a\n");
}

pub(crate) fn it_needs_a_destination(stage: &Stage) {
    let mut client = stage.connect();
    client.say("SEND\ncontent-type:text/plain\n\nhello^@");
    client.error();
}

pub(crate) fn a_send_that_cannot_be_done_is_an_error(stage: &Stage) {
    for destination in ["/nowhere", "", "/topic/"] {
        let mut client = stage.connect();
        client.say(&format!("SEND\ndestination:{destination}\n\nhello^@"));
        client.error();
    }
}

pub(crate) fn user_defined_headers_pass_through(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let headers = ["priority:9", "x-a:b", "id:42", "type:greeting", "correlation-id:7", "a b:c d"];
    speaker.say(&format!("SEND\ndestination:{topic}\n{}\n\nhello^@", headers.join("\n")));
    let message = listener.message();
    for header in headers {
        assert!(message.has_line(header), "{header} is not in {message:?}");
    }
}

/// Header names are case sensitive: these have no meaning to the server, so they are the sender's.
pub(crate) fn names_in_another_case_are_user_defined(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let headers = ["Destination:up", "RECEIPT:none", "Message-Id:7", "Ack:auto", "Version:2"];
    speaker.say(&format!("SEND\ndestination:{topic}\n{}\n\nhello^@", headers.join("\n")));
    let message = listener.message();
    for header in headers {
        assert!(message.has_line(header), "{header} is not in {message:?}");
    }
}

pub(crate) fn a_sender_forges_nothing(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    let reserved = [
        "message-id",
        "subscription",
        "ack",
        "seq",
        "unread",
        "user-name",
        "history",
        "receipt-id",
        "session",
    ];
    let forged = reserved.map(|name| name.to_owned() + ":forged\n").concat();
    speaker.say(&format!("SEND\ndestination:{topic}\n{forged}receipt:kept\n\nhello^@"));
    speaker.receipt("kept");
    let message = listener.message();
    assert_eq!(message.needs("subscription"), "s");
    assert!(message.lines.iter().all(|line| !line.ends_with(":forged")), "{message:?}");
    assert_eq!(message.header("receipt"), None, "the sender's own business: {message:?}");
}

pub(crate) fn messages_of_one_sender_keep_their_order(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for n in 0..200 {
        speaker.say(&format!("SEND\ndestination:{topic}\n\n{n}^@"));
    }
    for n in 0..200 {
        assert_eq!(listener.message().text(), n.to_string());
    }
}

pub(crate) fn what_was_sent_before_a_loss_is_done(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    for n in 0..5 {
        speaker.say(&format!("SEND\ndestination:{topic}\n\n{n}^@"));
    }
    drop(speaker);
    for n in 0..5 {
        assert_eq!(listener.message().text(), n.to_string());
    }
}
