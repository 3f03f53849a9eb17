//! The server's frames, but for MESSAGE to many.

use bytes::Bytes;
use shared::{Seq, UserId};
use stomp::{Command, HeartBeat, Version, encode};
use websocket::{DataKind, FrameBuffer};

use super::ConnectionId;

/// A heart-beat (STOMP 1.2 "Heart-beating"): a text message that holds a line end.
pub(super) fn heart_beat() -> Bytes {
    Bytes::from_static(b"\x81\x01\n")
}

/// RECEIPT; for a message that is durable, with its place.
pub(crate) fn receipt(version: Version, receipt_id: &str, seq: Option<Seq>) -> Bytes {
    receipt_with(version, receipt_id, "seq", seq)
}

/// RECEIPT of a subscription to a room, with the place up to which the client's person has read it.
pub(crate) fn subscribed(version: Version, receipt_id: &str, read: Option<Seq>) -> Bytes {
    receipt_with(version, receipt_id, "read", read)
}

fn receipt_with(version: Version, receipt_id: &str, header: &str, place: Option<Seq>) -> Bytes {
    let place = place.map(|seq| seq.to_string());
    let headers = [("receipt-id", receipt_id)].into_iter();
    write(version, Command::Receipt, headers.chain(place.as_deref().map(|seq| (header, seq))), b"")
}

/// CONNECTED.
pub(super) fn connected(version: Version, user: UserId, id: ConnectionId, heart_beat: HeartBeat) -> Bytes {
    let server = concat!("moyiza/", env!("CARGO_PKG_VERSION"));
    let (user, session, heart_beat) = (user.to_string(), id.0.to_string(), heart_beat.to_string());
    let mut headers =
        vec![("version", version.as_str()), ("server", server), ("session", &session), ("user-name", &user)];
    if version > Version::V10 {
        headers.push(("heart-beat", &heart_beat));
    }
    write(version, Command::Connected, headers, b"")
}

/// ERROR: `message` in a word or two, `detail` in a sentence.
pub(super) fn error(version: Version, message: &str, detail: &str, receipt_id: Option<&str>) -> Bytes {
    let headers = [("message", message), ("content-type", "text/plain")];
    let headers = headers.into_iter().chain(receipt_id.map(|id| ("receipt-id", id)));
    write(version, Command::Error, headers, detail.as_bytes())
}

/// ERROR for a client that speaks no version of ours (STOMP 1.2 "Protocol Negotiation").
pub(super) fn no_common_version(detail: &str) -> Bytes {
    let headers = [
        ("version", Version::SUPPORTED),
        ("content-type", "text/plain"),
        ("message", "version not supported"),
    ];
    write(Version::V10, Command::Error, headers, detail.as_bytes())
}

fn write<'a>(
    version: Version,
    command: Command,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) -> Bytes {
    let mut out = FrameBuffer::with_capacity(128 + body.len());
    encode(out.payload_mut(), version, command, headers, body);
    // Headers are text by construction, the bodies here are our own words.
    out.finish(DataKind::Text)
}
