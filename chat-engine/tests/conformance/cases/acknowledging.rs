//! "SUBSCRIBE ack Header", "ACK", "NACK". What counts as consumed shows where unanswered messages are bounded.

use crate::{
    client::Client,
    frame::Frame,
    requirements::Version,
    stage::{Stage, UNACKNOWLEDGED},
};

/// An ACK or NACK of a message in the stage's version, with more headers (each ended by a newline).
pub(super) fn answer(stage: &Stage, command: &str, message: &Frame, headers: &str) -> String {
    let which = match stage.version {
        Version::V10 => format!("message-id:{}", message.raw("message-id")),
        Version::V11 => {
            format!("subscription:{}\nmessage-id:{}", message.raw("subscription"), message.raw("message-id"))
        }
        Version::V12 => format!("id:{}", message.raw("ack")),
    };
    format!("{command}\n{which}\n{headers}\n^@")
}

/// The commands that answer a message.
pub(super) fn answers(stage: &Stage) -> &'static [&'static str] {
    if stage.version == Version::V10 { &["ACK"] } else { &["ACK", "NACK"] }
}

fn answer_and_wait(stage: &Stage, client: &mut Client, command: &str, message: &Frame) {
    client.say_and_wait(&answer(stage, command, message, "receipt:done\n"));
}

/// A subscription in this mode, and the first so many messages on it.
fn delivered(stage: &Stage, mode: &str, count: usize) -> (Client, Client, String, Vec<Frame>) {
    let topic = stage.topic();
    let (mut listener, mut speaker) = (stage.connect(), stage.connect());
    listener.subscribe("s", &topic, &format!("ack:{mode}\n"));
    let messages = more(&mut speaker, &mut listener, &topic, count);
    (speaker, listener, topic, messages)
}

fn more(speaker: &mut Client, listener: &mut Client, topic: &str, count: usize) -> Vec<Frame> {
    for n in 0..count {
        speaker.say(&format!("SEND\ndestination:{topic}\n\n{n}^@"));
    }
    (0..count).map(|_| listener.message()).collect()
}

/// More messages than may be unanswered end the connection.
fn expect_overflow(speaker: &mut Client, listener: &mut Client, topic: &str, count: usize) {
    for _ in 0..count {
        speaker.say(&format!("SEND\ndestination:{topic}\n\nmore^@"));
    }
    let frame = loop {
        let frame = listener.frame();
        if frame.command != "MESSAGE" {
            break frame;
        }
    };
    assert_eq!(frame.command, "ERROR", "{frame:?}");
}

pub(crate) fn auto_needs_no_ack(stage: &Stage) {
    for header in ["", "ack:auto\n"] {
        let topic = stage.topic();
        let (mut listener, mut speaker) = (stage.connect(), stage.connect());
        listener.subscribe("s", &topic, header);
        for message in more(&mut speaker, &mut listener, &topic, 3 * UNACKNOWLEDGED) {
            assert_eq!(message.header("ack"), None, "{message:?}");
        }
    }
}

pub(crate) fn client_mode_waits_for_acks(stage: &Stage) {
    let (mut speaker, mut listener, topic, _) = delivered(stage, "client", UNACKNOWLEDGED);
    expect_overflow(&mut speaker, &mut listener, &topic, 1);
}

pub(crate) fn client_mode_is_cumulative(stage: &Stage) {
    cumulative(stage, "ACK");
}

pub(crate) fn nack_is_cumulative_in_client_mode(stage: &Stage) {
    cumulative(stage, "NACK");
}

fn cumulative(stage: &Stage, command: &str) {
    let (mut speaker, mut listener, topic, mut messages) = delivered(stage, "client", UNACKNOWLEDGED);
    for _ in 0..3 {
        let last = messages.last().expect("several came");
        answer_and_wait(stage, &mut listener, command, last);
        messages = more(&mut speaker, &mut listener, &topic, UNACKNOWLEDGED);
    }
    // One before the last leaves one.
    answer_and_wait(stage, &mut listener, command, &messages[UNACKNOWLEDGED - 2]);
    more(&mut speaker, &mut listener, &topic, UNACKNOWLEDGED - 1);
    expect_overflow(&mut speaker, &mut listener, &topic, 1);
}

pub(crate) fn client_individual_is_not_cumulative(stage: &Stage) {
    individual(stage, "ACK");
}

pub(crate) fn nack_is_for_one_in_client_individual(stage: &Stage) {
    individual(stage, "NACK");
}

fn individual(stage: &Stage, command: &str) {
    let (mut speaker, mut listener, topic, messages) = delivered(stage, "client-individual", UNACKNOWLEDGED);
    answer_and_wait(stage, &mut listener, command, messages.last().expect("several came"));
    // All but the last are still unanswered.
    expect_overflow(&mut speaker, &mut listener, &topic, 2);
}

pub(crate) fn each_may_be_answered_in_any_order(stage: &Stage) {
    let (mut speaker, mut listener, topic, mut messages) =
        delivered(stage, "client-individual", UNACKNOWLEDGED);
    for _ in 0..3 {
        for (n, message) in messages.iter().rev().enumerate() {
            let command = if n % 2 == 0 { "ACK" } else { "NACK" };
            answer_and_wait(stage, &mut listener, command, message);
        }
        messages = more(&mut speaker, &mut listener, &topic, UNACKNOWLEDGED);
    }
}

pub(crate) fn subscriptions_are_acknowledged_apart(stage: &Stage) {
    let topic = stage.topic();
    let (mut listener, mut speaker) = (stage.connect(), stage.connect());
    listener.subscribe("a", &topic, "ack:client\n");
    listener.subscribe("b", &topic, "ack:client\n");
    for _ in 0..UNACKNOWLEDGED {
        speaker.say(&format!("SEND\ndestination:{topic}\n\nhello^@"));
    }
    let messages: Vec<_> = (0..2 * UNACKNOWLEDGED).map(|_| listener.message()).collect();
    let last = messages.iter().rfind(|message| message.needs("subscription") == "a").expect("it came");
    answer_and_wait(stage, &mut listener, "ACK", last);
    // `b` has as many unanswered as are allowed.
    expect_overflow(&mut speaker, &mut listener, &topic, 1);
}

pub(crate) fn repeating_an_ack_does_no_harm(stage: &Stage) {
    let (_, mut listener, _, messages) = delivered(stage, "client", 2);
    for message in [&messages[1], &messages[1], &messages[0]] {
        answer_and_wait(stage, &mut listener, "ACK", message);
    }
}

pub(crate) fn messages_to_acknowledge_have_an_ack_header(stage: &Stage) {
    for mode in ["client", "client-individual"] {
        let (_, _, _, messages) = delivered(stage, mode, 2);
        assert_ne!(messages[0].needs("ack"), messages[1].needs("ack"));
    }
}

pub(crate) fn no_ack_header_before_1_2(stage: &Stage) {
    let (_, mut listener, _, messages) = delivered(stage, "client", 1);
    assert_eq!(messages[0].header("ack"), None, "{:?}", messages[0]);
    answer_and_wait(stage, &mut listener, "ACK", &messages[0]);
}

/// Neither may be left out, and both must be those of a message that came.
pub(crate) fn ack_needs_its_headers(stage: &Stage) {
    let wrong: &[&str] = match stage.version {
        Version::V10 => &["", "message-id:nothing\n"],
        Version::V11 => &[
            "",
            "message-id:ID\n",
            "subscription:s\n",
            "subscription:other\nmessage-id:ID\n",
            "subscription:s\nmessage-id:nothing\n",
        ],
        Version::V12 => &["", "id:nothing\n", "id:\n", "subscription:s\nmessage-id:ID\n"],
    };
    for command in answers(stage) {
        for headers in wrong {
            let (_, mut listener, _, messages) = delivered(stage, "client", 1);
            let headers = headers.replace("ID", messages[0].raw("message-id"));
            listener.say(&format!("{command}\n{headers}\n^@"));
            listener.error();
        }
    }
}

/// A message that came to somebody else, and after all of one's own, was not one's own.
pub(crate) fn only_what_was_delivered_is_acknowledged(stage: &Stage) {
    for command in answers(stage) {
        let (_, mut listener, _, _) = delivered(stage, "client", 1);
        let (_, _, _, of_another) = delivered(stage, "client", 1);
        listener.say(&answer(stage, command, &of_another[0], ""));
        listener.error();
    }
}

pub(crate) fn there_is_nothing_to_acknowledge_in_auto(stage: &Stage) {
    let (_, mut listener, _, messages) = delivered(stage, "auto", 1);
    let id = messages[0].raw("message-id");
    listener.say(&match stage.version {
        Version::V12 => format!("ACK\nid:{id}\n\n^@"),
        _ => format!("ACK\nsubscription:s\nmessage-id:{id}\n\n^@"),
    });
    listener.error();
}

pub(crate) fn a_subscription_may_be_named_in_1_0(stage: &Stage) {
    let (_, mut listener, _, messages) = delivered(stage, "client", 1);
    let id = messages[0].raw("message-id");
    listener.say_and_wait(&format!("ACK\nsubscription:s\nmessage-id:{id}\nreceipt:done\n\n^@"));
}

pub(crate) fn nack_is_taken(stage: &Stage) {
    let (mut speaker, mut listener, topic, messages) = delivered(stage, "client-individual", 1);
    answer_and_wait(stage, &mut listener, "NACK", &messages[0]);
    // It is discarded: what comes next is new.
    speaker.send(&topic, "next");
    assert_eq!(listener.message().text(), "next");
}

pub(crate) fn nack_is_unknown_in_1_0(stage: &Stage) {
    let (_, mut listener, _, messages) = delivered(stage, "client", 1);
    listener.say(&answer(stage, "NACK", &messages[0], ""));
    listener.error();
}

pub(crate) fn an_ack_in_a_transaction_counts_when_it_commits(stage: &Stage) {
    for command in answers(stage) {
        let (mut speaker, mut listener, topic, messages) = delivered(stage, "client", UNACKNOWLEDGED);
        listener.say("BEGIN\ntransaction:t\n\n^@");
        let last = messages.last().expect("several came");
        listener.say_and_wait(&answer(stage, command, last, "transaction:t\nreceipt:done\n"));
        listener.say_and_wait("COMMIT\ntransaction:t\nreceipt:done\n\n^@");
        more(&mut speaker, &mut listener, &topic, UNACKNOWLEDGED);
    }
}

pub(crate) fn an_ack_in_an_aborted_transaction_does_not_count(stage: &Stage) {
    for command in answers(stage) {
        let (mut speaker, mut listener, topic, messages) = delivered(stage, "client", UNACKNOWLEDGED);
        listener.say("BEGIN\ntransaction:t\n\n^@");
        listener.say(&answer(stage, command, messages.last().expect("several came"), "transaction:t\n"));
        listener.say_and_wait("ABORT\ntransaction:t\nreceipt:done\n\n^@");
        expect_overflow(&mut speaker, &mut listener, &topic, 1);
    }
}

pub(crate) fn an_ack_needs_its_transaction(stage: &Stage) {
    let (_, mut listener, _, messages) = delivered(stage, "client", 1);
    listener.say(&answer(stage, "ACK", &messages[0], "transaction:unknown\n"));
    listener.error();
}
