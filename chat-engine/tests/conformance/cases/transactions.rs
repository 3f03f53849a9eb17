//! "BEGIN", "COMMIT", "ABORT".

use crate::{client::Client, stage::Stage};

fn begin(client: &mut Client, transaction: &str) {
    client.say_and_wait(&format!("BEGIN\ntransaction:{transaction}\nreceipt:done\n\n^@"));
}

fn send_in(client: &mut Client, transaction: &str, destination: &str, body: &str) {
    client.say_and_wait(&format!(
        "SEND\ndestination:{destination}\ntransaction:{transaction}\nreceipt:done\n\n{body}^@"
    ));
}

pub(crate) fn a_send_waits_for_its_commit(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    begin(&mut speaker, "t");
    send_in(&mut speaker, "t", &topic, "a");
    send_in(&mut speaker, "t", &topic, "b");
    // What is in no transaction overtakes it.
    speaker.send(&topic, "c");
    assert_eq!(listener.message().text(), "c");
    speaker.say_and_wait("COMMIT\ntransaction:t\nreceipt:done\n\n^@");
    assert_eq!(listener.message().text(), "a");
    let message = listener.message();
    assert_eq!((message.text(), message.header("transaction")), ("b", None));
}

pub(crate) fn transactions_are_apart(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    begin(&mut speaker, "t");
    begin(&mut speaker, "u");
    send_in(&mut speaker, "t", &topic, "t");
    send_in(&mut speaker, "u", &topic, "u");
    speaker.say_and_wait("COMMIT\ntransaction:u\nreceipt:done\n\n^@");
    assert_eq!(listener.message().text(), "u");
    speaker.say_and_wait("ABORT\ntransaction:t\nreceipt:done\n\n^@");
    speaker.send(&topic, "fence");
    assert_eq!(listener.message().text(), "fence");
}

pub(crate) fn an_abort_undoes(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    begin(&mut speaker, "t");
    send_in(&mut speaker, "t", &topic, "never");
    speaker.say_and_wait("ABORT\ntransaction:t\nreceipt:done\n\n^@");
    // The id is free again.
    begin(&mut speaker, "t");
    send_in(&mut speaker, "t", &topic, "again");
    speaker.say_and_wait("COMMIT\ntransaction:t\nreceipt:done\n\n^@");
    assert_eq!(listener.message().text(), "again");
}

pub(crate) fn all_or_nothing(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    begin(&mut speaker, "t");
    speaker.say(&format!(
        "SEND\ndestination:{topic}\ntransaction:t\n\nnever^@\
         SEND\ndestination:/nowhere\ntransaction:t\n\nx^@\
         COMMIT\ntransaction:t\n\n^@"
    ));
    speaker.error();
    stage.connect().send(&topic, "fence");
    assert_eq!(listener.message().text(), "fence");
}

pub(crate) fn its_header_is_required(stage: &Stage) {
    for command in ["BEGIN", "COMMIT", "ABORT"] {
        let mut client = stage.connect();
        begin(&mut client, "t");
        client.say(&format!("{command}\n\n^@"));
        client.error();
    }
}

pub(crate) fn ids_are_different(stage: &Stage) {
    let mut client = stage.connect();
    begin(&mut client, "t");
    client.say("BEGIN\ntransaction:t\n\n^@");
    client.error();
}

pub(crate) fn ids_are_those_of_the_connection(stage: &Stage) {
    let (mut one, mut other) = (stage.connect(), stage.connect());
    begin(&mut one, "t");
    begin(&mut other, "t");
    one.say_and_wait("COMMIT\ntransaction:t\nreceipt:done\n\n^@");
    other.say_and_wait("COMMIT\ntransaction:t\nreceipt:done\n\n^@");
}

pub(crate) fn only_one_in_progress_can_end(stage: &Stage) {
    for command in ["COMMIT", "ABORT"] {
        let mut client = stage.connect();
        client.say(&format!("{command}\ntransaction:unknown\n\n^@"));
        client.error();
        // Nor twice.
        let mut client = stage.connect();
        begin(&mut client, "t");
        client.say_and_wait(&format!("{command}\ntransaction:t\nreceipt:done\n\n^@"));
        client.say(&format!("{command}\ntransaction:t\n\n^@"));
        client.error();
    }
}

pub(crate) fn a_send_needs_its_transaction(stage: &Stage) {
    let mut client = stage.connect();
    client.say(&format!("SEND\ndestination:{}\ntransaction:unknown\n\nhello^@", stage.topic()));
    client.error();
}

pub(crate) fn disconnect_aborts(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    begin(&mut speaker, "t");
    send_in(&mut speaker, "t", &topic, "never");
    speaker.say_and_wait("DISCONNECT\nreceipt:done\n\n^@");
    speaker.closed();
    stage.connect().send(&topic, "fence");
    assert_eq!(listener.message().text(), "fence");
}

pub(crate) fn a_lost_connection_aborts(stage: &Stage) {
    let (mut speaker, mut listener, topic) = stage.pair();
    begin(&mut speaker, "t");
    send_in(&mut speaker, "t", &topic, "never");
    drop(speaker);
    for _ in 0..3 {
        stage.connect().send(&topic, "fence");
        assert_eq!(listener.message().text(), "fence");
    }
}
