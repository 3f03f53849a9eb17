//! Frames to bytes.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Command, Version, escape::escape_into};

/// Appends a frame. A body brings its `content-length`, so that it may hold NULs.
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

    /// The frame for one subscription. Subscribers under the same id can share the result.
    pub fn frame(&self, subscription: &str) -> Bytes {
        const START: &[u8] = b"MESSAGE\nsubscription:";
        let mut out = BytesMut::with_capacity(START.len() + subscription.len() + 1 + self.rest.len());
        out.put_slice(START);
        escape_into(&mut out, subscription, self.version);
        out.put_u8(b'\n');
        out.put_slice(&self.rest);
        out.freeze()
    }
}
