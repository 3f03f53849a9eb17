//! "ACK" and "NACK" of what comes from a chat room. What is consumed there has been read, which others see: the counts of
//! messages fall.

use std::collections::BTreeMap;

use super::acknowledging::{answer, answers};
use crate::{client::Client, frame::Frame, stage::Stage};

/// One who has the room open and sees who has read what.
struct Witness {
    client: Client,
    destination: String,
    counts: BTreeMap<i64, i64>,
}

impl Witness {
    /// Says something, and gives its seq.
    fn say(&mut self, content: &str) -> i64 {
        let destination = self.destination.replace("/chat/", "/app/chat/");
        let body = format!("{{\"content\":\"{content}\"}}");
        let send = format!("SEND\ndestination:{destination}\nreceipt:done\n\n{body}^@");
        self.client.say_and_wait(&send).needs("seq").parse().expect("a number")
    }

    /// Waits until a message is said to have been read by all but so many.
    fn sees(&mut self, seq: i64, unread: i64) {
        while self.counts.get(&seq) != Some(&unread) {
            let message = self.client.message();
            let body: serde_json::Value = serde_json::from_slice(&message.body).expect("JSON");
            if let (Some(seq), Some(unread)) = (message.header("seq"), message.header("unread")) {
                let number = |text: &str| text.parse().expect("a number");
                self.counts.insert(number(seq), number(unread));
            }
            for change in body["changes"].as_array().into_iter().flatten() {
                let number = |key: &str| change[key].as_i64().expect("a number");
                for (_, count) in self.counts.range_mut(number("from") + 1..=number("to")) {
                    *count += number("by");
                }
            }
        }
    }

    fn shows(&self, seqs: &[i64]) -> Vec<i64> {
        seqs.iter().map(|seq| self.counts[seq]).collect()
    }
}

/// Somebody who follows a room under the id `s` in this mode, the first three messages that came, and their seqs.
fn delivered(stage: &Stage, mode: &str) -> (Witness, Client, Vec<Frame>, Vec<i64>) {
    let (mut client, mut listener, destination) = stage.roommates();
    client.subscribe("w", &destination, "");
    listener.subscribe("s", &destination, &format!("ack:{mode}\n"));
    let mut witness = Witness { client, destination, counts: BTreeMap::new() };
    let seqs: Vec<_> = ["one", "two", "three"].map(|content| witness.say(content)).into();
    let messages = seqs.iter().map(|_| listener.message()).collect();
    for seq in &seqs {
        witness.sees(*seq, 1);
    }
    (witness, listener, messages, seqs)
}

fn say(stage: &Stage, listener: &mut Client, command: &str, message: &Frame) {
    listener.say_and_wait(&answer(stage, command, message, "receipt:done\n"));
}

pub(crate) fn client_mode_is_cumulative(stage: &Stage) {
    let (mut witness, mut listener, messages, seqs) = delivered(stage, "client");
    say(stage, &mut listener, "ACK", &messages[1]);
    witness.sees(seqs[1], 0);
    assert_eq!(witness.shows(&seqs), [0, 0, 1]);
    say(stage, &mut listener, "ACK", &messages[2]);
    witness.sees(seqs[2], 0);
}

pub(crate) fn client_individual_is_not_cumulative(stage: &Stage) {
    let (mut witness, mut listener, messages, seqs) = delivered(stage, "client-individual");
    say(stage, &mut listener, "ACK", &messages[2]);
    say(stage, &mut listener, "ACK", &messages[0]);
    witness.sees(seqs[0], 0);
    assert_eq!(witness.shows(&seqs), [0, 1, 1]);
    say(stage, &mut listener, "ACK", &messages[1]);
    witness.sees(seqs[2], 0);
    assert_eq!(witness.shows(&seqs), [0, 0, 0]);
}

pub(crate) fn nack_consumes_nothing(stage: &Stage) {
    let (mut witness, mut listener, messages, seqs) = delivered(stage, "client");
    let destination = witness.destination.clone();
    listener.subscribe("t", &destination, "ack:client\nhistory:3\n");
    let again: Vec<_> = seqs.iter().map(|_| listener.message()).collect();
    say(stage, &mut listener, "NACK", &messages[2]);
    say(stage, &mut listener, "ACK", &again[0]);
    witness.sees(seqs[0], 0);
    assert_eq!(witness.shows(&seqs), [0, 1, 1]);
}

pub(crate) fn only_what_was_delivered_is_acknowledged(stage: &Stage) {
    for command in answers(stage) {
        for mode in ["client", "client-individual"] {
            let (_, mut listener, messages, seqs) = delivered(stage, mode);
            let (last, never) = (seqs[2].to_string(), (seqs[2] + 1).to_string());
            let said = answer(stage, command, &messages[2], "");
            listener.say(&said.replace(&last, &never));
            listener.error();
        }
    }
}

pub(crate) fn repeating_an_ack_does_no_harm(stage: &Stage) {
    let (mut witness, mut listener, messages, seqs) = delivered(stage, "client");
    for message in [&messages[1], &messages[1], &messages[0]] {
        say(stage, &mut listener, "ACK", message);
    }
    witness.sees(seqs[1], 0);
    assert_eq!(witness.shows(&seqs), [0, 0, 1]);
}

pub(crate) fn an_ack_in_a_transaction_counts_when_it_commits(stage: &Stage) {
    let (mut witness, mut listener, messages, seqs) = delivered(stage, "client");
    for transaction in ["kept", "dropped"] {
        listener.say(&format!("BEGIN\ntransaction:{transaction}\n\n^@"));
    }
    listener.say(&answer(stage, "ACK", &messages[2], "transaction:dropped\n"));
    listener.say(&answer(stage, "ACK", &messages[1], "transaction:kept\n"));
    listener.say("ABORT\ntransaction:dropped\n\n^@");
    // Outside of it, and before it.
    say(stage, &mut listener, "ACK", &messages[0]);
    witness.sees(seqs[0], 0);
    assert_eq!(witness.shows(&seqs), [0, 1, 1]);
    listener.say_and_wait("COMMIT\ntransaction:kept\nreceipt:done\n\n^@");
    witness.sees(seqs[1], 0);
    assert_eq!(witness.shows(&seqs), [0, 0, 1]);
}

/// Events that are no messages too: a client may acknowledge the last that it got, whatever that was.
pub(crate) fn every_message_can_be_acknowledged(stage: &Stage) {
    let (mut witness, mut listener, messages, seqs) = delivered(stage, "client");
    say(stage, &mut listener, "ACK", &messages[0]);
    // It is told of that itself.
    let event = listener.message();
    assert_eq!(event.header("seq"), None, "{event:?}");
    let page = witness.destination.replace("/chat/", "/app/history/");
    listener.say_and_wait(&format!("SEND\ndestination:{page}\nlimit:3\nreceipt:done\n\n^@"));
    for _ in &seqs {
        let shown = listener.message();
        say(stage, &mut listener, "ACK", &shown);
    }
    witness.sees(seqs[2], 0);
    witness.say("four");
    listener.message();
    say(stage, &mut listener, "ACK", &event);
}

pub(crate) fn messages_to_acknowledge_have_an_ack_header(stage: &Stage) {
    for mode in ["client", "client-individual"] {
        let (witness, mut listener, messages, _) = delivered(stage, mode);
        assert_ne!(messages[0].needs("ack"), messages[1].needs("ack"));
        say(stage, &mut listener, "ACK", &messages[0]);
        let event = listener.message();
        assert_ne!(event.needs("ack"), messages[2].needs("ack"));
        let page = witness.destination.replace("/chat/", "/app/history/");
        listener.say_and_wait(&format!("SEND\ndestination:{page}\nlimit:3\nreceipt:done\n\n^@"));
        for message in &messages {
            assert_eq!(listener.message().needs("ack"), message.needs("ack"));
        }
    }
}
