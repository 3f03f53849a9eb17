//! Frames to bytes.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Command, Version,
    escape::{escape_into, has_form},
    request::ACK_SEPARATOR,
};

/// Appends a frame. A body brings its `content-length`, so that it may hold NULs. A header is left out if the version
/// cannot express its name, as 1.0 cannot if there is a colon in it.
pub fn encode<'a>(
    out: &mut BytesMut,
    version: Version,
    command: Command,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) {
    out.put_slice(command.as_str().as_bytes());
    out.put_u8(b'\n');
    for (name, value) in headers {
        put_header(out, version, command, name, value);
    }
    put_body(out, body);
}

fn put_header(out: &mut BytesMut, version: Version, command: Command, name: &str, value: &str) {
    // CONNECTED is read before a version is agreed on: nothing in it may need escaping.
    let version = if command.is_escaped() { version } else { Version::V10 };
    if !has_form(name, version) {
        return;
    }
    escape_into(out, name, version);
    out.put_u8(b':');
    escape_into(out, value, version);
    out.put_u8(b'\n');
}

fn put_body(out: &mut BytesMut, body: &[u8]) {
    if !body.is_empty() {
        // Writing to memory cannot fail.
        let _ = writeln!(out, "content-length:{}", body.len());
    }
    out.put_u8(b'\n');
    out.put_slice(body);
    out.put_u8(0);
}

/// A MESSAGE for many subscribers: everything but the `subscription` header is written once.
#[derive(Clone, Debug)]
pub struct MessageTemplate {
    /// From behind the `subscription` header to the NUL.
    rest: Bytes,
    version: Version,
}

impl MessageTemplate {
    /// A template with these headers and this body, in the form of `version`.
    pub fn new<'a>(
        version: Version,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: &[u8],
    ) -> Self {
        let mut rest = BytesMut::with_capacity(192 + body.len());
        for (name, value) in headers {
            put_header(&mut rest, version, Command::Message, name, value);
        }
        put_body(&mut rest, body);
        Self { rest: rest.freeze(), version }
    }

    /// How long [`write`](Self::write) makes a frame for this subscription at most, if nothing needs escaping.
    pub fn capacity(&self, subscription: Option<&str>) -> usize {
        64 + 2 * subscription.map_or(0, str::len) + self.rest.len()
    }

    /// Appends the frame for one subscription: its name if it has one, and the `message-id` where the client is to
    /// answer it (STOMP 1.2 "ack"). Subscribers under the same name can share the result.
    pub fn write(&self, out: &mut BytesMut, subscription: Option<&str>, answer: Option<&str>) {
        out.put_slice(b"MESSAGE\n");
        if let Some(subscription) = subscription {
            put_header(out, self.version, Command::Message, "subscription", subscription);
        }
        if let Some(message) = answer.filter(|_| self.version == Version::V12) {
            out.put_slice(b"ack:");
            escape_into(out, message, self.version);
            // The separator needs no escaping.
            let _ = out.write_char(ACK_SEPARATOR);
            escape_into(out, subscription.unwrap_or_default(), self.version);
            out.put_u8(b'\n');
        }
        out.put_slice(&self.rest);
    }
}
