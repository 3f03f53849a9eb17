//! A message of a topic: what its sender defined, and nothing that is the server's to say.

use bytes::{Bytes, BytesMut};
use stomp::{ByteString, Command, Decoder, Headers, Limits, Send, Version, encode};

use crate::connection::{Answerable, Message};

/// Headers of a SEND that do not reach subscribers: they are the protocol's, the server's to say, or a secret.
const RESERVED: [&str; 18] = [
    "destination",
    "content-length",
    "receipt",
    "transaction",
    "subscription",
    "message-id",
    "ack",
    "seq",
    "unread",
    "history",
    "user-name",
    "login",
    "passcode",
    "heart-beat",
    "receipt-id",
    "session",
    "server",
    "version",
];

/// A message.
#[derive(Debug)]
pub(crate) struct TopicMessage {
    pub(super) destination: ByteString,
    headers: Headers,
    body: Bytes,
}

impl TopicMessage {
    pub(super) fn new(send: Send) -> Self {
        Self { destination: send.destination, headers: send.headers, body: send.body }
    }

    /// The headers that subscribers get.
    fn client_headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().filter(|(name, _)| !is_reserved(name)).collect()
    }

    /// Its forms for subscribers, with this number for a `message-id`.
    pub(super) fn with_forms(&self, number: u64, compress_from: usize, push: impl FnOnce(&mut Message<'_>)) {
        let (id, headers) = (number.to_string(), self.client_headers());
        let message = Message::text(&self.destination, &id, &headers, &self.body, compress_from);
        push(&mut message.answerable(Answerable::Awaited(number)).of_any_kind());
    }

    /// As one node tells the others.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        let own = [("destination", &*self.destination)];
        let headers = own.into_iter().chain(self.client_headers());
        encode(&mut out, Version::V12, Command::Send, headers, &self.body);
        out.freeze()
    }

    /// What another node told; `None` for something else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // The node that took it from its client has held it to its limits.
        let limits = Limits { frame_bytes: usize::MAX, header_bytes: usize::MAX, headers: usize::MAX };
        let mut decoder = Decoder::new(limits);
        decoder.set_version(Version::V12);
        decoder.push(bytes);
        let frame = decoder.decode().ok()??;
        let destination = frame.headers.first("destination")?.clone();
        Some(Self { destination, headers: frame.headers, body: frame.body })
    }
}

/// Whether a name is one of those, also to a subscriber of 1.0, which may trim it, and to whom a colon ends a name and
/// a line feed is left out. Case makes another name (STOMP 1.2 "Augmented BNF"), but
/// for secrets, which somebody may have misspelt.
fn is_reserved(name: &str) -> bool {
    let seen: String = name.chars().take_while(|c| *c != ':').filter(|c| !c.is_whitespace()).collect();
    let secret = |name: &&str| seen.eq_ignore_ascii_case(name);
    RESERVED.contains(&&*seen) || ["authorization", "passcode", "login"].iter().any(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(headers: &[(&str, &str)], body: &[u8]) -> TopicMessage {
        let mut out = BytesMut::new();
        encode(&mut out, Version::V12, Command::Send, headers.iter().copied(), body);
        TopicMessage::from_bytes(&out).unwrap()
    }

    #[test]
    fn nothing_that_is_the_servers_to_say_can_be_forged() {
        let headers = [
            ("destination", "/topic/a"),
            ("message-id", "7"),
            ("seq", "7"),
            ("unread", "0"),
            ("user-name", "1"),
            ("Authorization", "Bearer secret"),
            ("colour", "blue:green\n"),
            ("seq:7", ""),
            ("s\neq", "7"),
            (" seq\r", "7"),
            ("sequel", "7"),
            ("Seq", "7"),
            ("content-type", "text/plain"),
        ];
        let message = send(&headers, b"x");
        let passed =
            [("colour", "blue:green\n"), ("sequel", "7"), ("Seq", "7"), ("content-type", "text/plain")];
        assert_eq!(message.client_headers(), passed);
    }

    #[test]
    fn nodes_tell_each_other_everything() {
        let message = send(&[("destination", "/topic/a"), ("a:b", "c\\d\r\n")], b"\0\xff\n");
        let told = TopicMessage::from_bytes(&message.to_bytes()).unwrap();
        assert_eq!(told.destination, message.destination);
        assert_eq!(told.client_headers(), message.client_headers());
        assert_eq!(told.body, message.body);
        assert!(TopicMessage::from_bytes(b"nonsense").is_none());
    }
}
