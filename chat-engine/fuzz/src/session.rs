//! Everything that can happen to a STOMP connection, in any order.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use stomp::Version;

use crate::broker::Broker;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Event<'a> {
    /// The client sends anything.
    Bytes(&'a [u8]),
    /// The client sends a frame.
    Frame(Frame<'a>),
    /// All that came is done.
    Work { accept: bool },
    /// One thing is done.
    Step { accept: bool },
    /// Somebody has found out who the client is.
    Accept,
    /// Messages for a subscription.
    Deliver(u8, u8),
    /// The transport heard something.
    Heard,
    /// Tenths of a second pass.
    Wait(u16),
    /// The connection is closed, and another one is there.
    Again,
    /// The same, and who is there is let in at once; which version it speaks.
    AgainConnected(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Frame<'a> {
    command: u8,
    /// Chooses the values of the headers that it needs.
    choice: u8,
    /// Other headers, before those: they count.
    headers: &'a [u8],
    body: &'a [u8],
    /// How much of its end does not come.
    lost: u8,
}

const COMMANDS: [&str; 16] = [
    "CONNECT",
    "SEND",
    "SUBSCRIBE",
    "ACK",
    "BEGIN",
    "COMMIT",
    "ABORT",
    "UNSUBSCRIBE",
    "NACK",
    "DISCONNECT",
    "STOMP",
    "MESSAGE",
    "RECEIPT",
    "CONNECTED",
    "ERROR",
    "HELLO",
];

/// Each byte of a frame's headers names one of these and one of its values.
const HEADERS: [(&str, &[&str]); 12] = [
    ("accept-version", &["1.0,1.1,1.2", "1.2", "1.1", "1.0", "1.0,1.1", "9", ""]),
    ("destination", &["/topic/a", "/topic/b", "", "a\\cb", "\\x"]),
    ("id", &["1@a", "2@a", "3@a", "a", "b", "c", "d", "1@b", "2@b", "5@a", "@", "x@y", "99@a"]),
    ("ack", &["client", "client-individual", "auto", "x"]),
    ("transaction", &["t", "u", "v", ""]),
    ("subscription", &["a", "b", "c", "d", "/topic/a"]),
    ("message-id", &["1", "2", "3", "4", "5", "6", "18446744073709551615", "x", ""]),
    ("receipt", &["r", ""]),
    ("heart-beat", &["0,0", "10000,10000", "1,1", "4294967295,4294967295", "60000,5000", ",", "1"]),
    ("content-length", &["0", "1", "9", "400", "18446744073709551615", "-1"]),
    ("passcode", &["secret"]),
    ("", &["", "x"]),
];

/// What is bounded stays bounded, nothing comes behind the end, no deadline stays in the past, and a session never
/// does more than it was sent.
pub fn session(attempt: &[u8]) {
    let mut attempt = Unstructured::new(attempt);
    let sub_protocol = [None, Some(Version::V10), Some(Version::V11), Some(Version::V12)];
    let Ok(sub_protocol) = attempt.choose(&sub_protocol) else { return };
    let mut broker = Broker::new(*sub_protocol);
    while !attempt.is_empty()
        && let Ok(event) = Event::arbitrary(&mut attempt)
    {
        happen(&mut broker, event);
    }
    broker.end();
}

fn happen(broker: &mut Broker, event: Event<'_>) {
    match event {
        Event::Bytes(bytes) => broker.receive(bytes),
        Event::Frame(frame) => {
            let bytes = frame.bytes(broker.numbers);
            // Mostly nothing is lost.
            broker.receive(
                &bytes[..bytes.len() - usize::from(frame.lost.saturating_sub(200)).min(bytes.len())],
            );
        }
        Event::Work { accept } => while broker.work(accept).is_some() {},
        Event::Step { accept } => {
            broker.work(accept);
        }
        Event::Accept => broker.accept(),
        Event::Deliver(subscription, messages) => broker.deliver(subscription, messages),
        Event::Heard => broker.heard(),
        Event::Wait(tenths) => broker.wait(Duration::from_millis(u64::from(tenths) * 100)),
        Event::Again => {
            broker.end();
            *broker = Broker::new(None);
        }
        Event::AgainConnected(choice) => {
            broker.end();
            *broker = Broker::new(None);
            broker.receive(&Frame { command: 0, choice, headers: &[], body: &[], lost: 0 }.bytes(0));
            assert!(broker.work(true).is_some());
        }
    }
}

impl Frame<'_> {
    fn bytes(self, last: u64) -> Vec<u8> {
        let command = COMMANDS[usize::from(self.command) % COMMANDS.len()];
        let mut frame = format!("{command}\n");
        for byte in self.headers {
            let (name, values) = HEADERS[usize::from(byte >> 4) % HEADERS.len()];
            let value = values[usize::from(byte & 15) % values.len()];
            frame.extend([name, ":", value, "\n"]);
        }
        frame += &needed(command, self.choice, last);
        [frame.as_bytes(), b"\n", self.body, b"\0"].concat()
    }
}

/// The headers that make sense of a command: the numbers of messages are near the `last`.
fn needed(command: &str, choice: u8, last: u64) -> String {
    let name = ["a", "b", "c", "d"][usize::from(choice & 3)];
    let other = choice >> 2;
    match command {
        "CONNECT" | "STOMP" => {
            let version = ["1.2", "1.1", "1.0", "1.0,1.1,1.2"][usize::from(choice & 3)];
            let beats = ["0,0", "10000,10000", "60000,5000", "0,10000"][usize::from(other & 3)];
            format!("accept-version:{version}\nheart-beat:{beats}\n")
        }
        "SEND" if other & 1 == 0 => "destination:/topic/a\n".to_owned(),
        "SEND" => format!("destination:/topic/a\ntransaction:{name}\n"),
        "SUBSCRIBE" => {
            let ack = ["auto", "client", "client-individual"][usize::from(other % 3)];
            format!("id:{name}\ndestination:/topic/a\nack:{ack}\n")
        }
        "UNSUBSCRIBE" => format!("id:{name}\n"),
        "ACK" | "NACK" => {
            let number = last.saturating_sub(u64::from(other & 7));
            let transaction = if other & 8 == 0 { "" } else { "transaction:a\n" };
            format!("id:{number}@{name}\nsubscription:{name}\nmessage-id:{number}\n{transaction}")
        }
        "BEGIN" | "COMMIT" | "ABORT" => format!("transaction:{name}\n"),
        _ => String::new(),
    }
}
