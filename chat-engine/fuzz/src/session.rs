//! Everything that can happen to a STOMP connection, in any order.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use stomp::Version;

use crate::broker::Broker;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Event<'a> {
    /// The client sends anything.
    Bytes(&'a [u8]),
    /// The client sends a frame: its command, its headers, its body, and how much of it is lost.
    Frame(u8, &'a [u8], &'a [u8], u8),
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
    /// The connection is closed.
    End,
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
    while let Ok(event) = Event::arbitrary(&mut attempt)
        && !attempt.is_empty()
    {
        happen(&mut broker, event);
    }
    broker.end();
}

fn happen(broker: &mut Broker, event: Event<'_>) {
    match event {
        Event::Bytes(bytes) => broker.receive(bytes),
        Event::Frame(command, headers, body, lost) => {
            let frame = frame(command, headers, body);
            // Mostly nothing is lost.
            broker.receive(&frame[..frame.len() - usize::from(lost.saturating_sub(200)).min(frame.len())]);
        }
        Event::Work { accept } => while broker.work(accept).is_some() {},
        Event::Step { accept } => {
            broker.work(accept);
        }
        Event::Accept => broker.accept(),
        Event::Deliver(subscription, messages) => broker.deliver(subscription, messages),
        Event::Heard => broker.heard(),
        Event::Wait(tenths) => broker.wait(Duration::from_millis(u64::from(tenths) * 100)),
        Event::End => broker.end(),
    }
}

fn frame(command: u8, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = format!("{}\n", COMMANDS[usize::from(command) % COMMANDS.len()]);
    for byte in headers {
        let (name, values) = HEADERS[usize::from(byte >> 4) % HEADERS.len()];
        let value = values[usize::from(byte & 15) % values.len()];
        frame.extend([name, ":", value, "\n"]);
    }
    [frame.as_bytes(), b"\n", body, b"\0"].concat()
}
