//! The server's frames, but for MESSAGE.

use bytes::{Bytes, BytesMut};
use shared::{Seq, UserId};
use stomp::{Command, Version, encode};

/// A heart-beat (STOMP 1.2 "Heart-beating").
pub(crate) const HEART_BEAT: &[u8] = b"\n";

/// RECEIPT; for a message that is durable, with its place.
pub(crate) fn receipt(receipt_id: &str, seq: Option<Seq>) -> Bytes {
    let seq = seq.map(|seq| seq.to_string());
    let headers = [("receipt-id", receipt_id)].into_iter().chain(seq.as_deref().map(|seq| ("seq", seq)));
    write(Command::Receipt, headers, b"")
}

/// CONNECTED.
pub(super) fn connected(version: Version, user: UserId, heart_beat: &str) -> Bytes {
    let server = concat!("moyiza/", env!("CARGO_PKG_VERSION"));
    let user = user.to_string();
    let headers =
        [("version", version.as_str()), ("server", server), ("user-name", &user), ("heart-beat", heart_beat)];
    write(Command::Connected, headers, b"")
}

/// ERROR: `message` in a word or two, `detail` in a sentence.
pub(super) fn error(message: &str, detail: &str, receipt_id: Option<&str>) -> Bytes {
    let headers = [("message", message), ("content-type", "text/plain")];
    let headers = headers.into_iter().chain(receipt_id.map(|id| ("receipt-id", id)));
    write(Command::Error, headers, detail.as_bytes())
}

fn write<'a>(command: Command, headers: impl IntoIterator<Item = (&'a str, &'a str)>, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out, Version::V12, command, headers, body);
    out.freeze()
}
