//! Header escaping, which differs in each version: none in 1.0; `\n`, `\c`, `\\` in 1.1; `\r` as well in 1.2.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::Version;

/// Undoes the escaping; `None` for an escape that the version does not define.
pub(crate) fn unescape(text: &str, version: Version) -> Option<Cow<'_, str>> {
    if version == Version::V10 || memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next()? {
                'n' => '\n',
                'c' => ':',
                '\\' => '\\',
                'r' if version == Version::V12 => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(Cow::Owned(plain))
}

/// Whether a header's name can be written. Where it cannot, what is left of it could be the name of another header,
/// one that is the server's to say.
pub(crate) fn has_form(name: &str, version: Version) -> bool {
    let none: &[u8] = if version == Version::V10 { b":\n\0" } else { b"\0" };
    !name.is_empty() && !name.bytes().any(|byte| none.contains(&byte))
}

/// Appends a header's name or value. What the version cannot express is left out rather than let a header
/// break the frame: NUL in every version, line feeds in 1.0. Before 1.2 a carriage return is an octet as others.
pub(crate) fn escape_into(out: &mut BytesMut, text: &str, version: Version) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n' | b':' | b'\r' | 0);
    if !text.as_bytes().iter().any(special) {
        return out.put_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match (byte, version) {
            // NUL ends a frame in every version and none can escape it.
            (0, _) | (b'\n', Version::V10) => {}
            (b'\n', _) => out.put_slice(b"\\n"),
            (b':', Version::V11 | Version::V12) => out.put_slice(b"\\c"),
            (b'\\', Version::V11 | Version::V12) => out.put_slice(b"\\\\"),
            (b'\r', Version::V12) => out.put_slice(b"\\r"),
            (byte, _) => out.put_u8(byte),
        }
    }
}
