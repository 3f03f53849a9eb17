//! Bytes to STOMP frames and back.

use bytes::BytesMut;
use stomp::{Command, DecodeError, Decoder, Frame, Limits, MessageTemplate, Version, encode};

use crate::pieces::pieces;

/// Limits that little input reaches.
const TIGHT: Limits = Limits { frame_bytes: 48, header_bytes: 24, headers: 2 };

/// However a stream is cut, it has the same frames and the same error; and every frame survives being written and
/// read again.
///
/// The first byte chooses version and limits, the second how the rest is cut.
pub fn codec(attempt: &[u8]) {
    let [form, longest, stream @ ..] = attempt else { return };
    let version = [None, Some(Version::V10), Some(Version::V11), Some(Version::V12)][usize::from(form % 4)];
    let limits = if form & 4 == 0 { Limits::default() } else { TIGHT };

    let (frames, error) = decode(version, limits, [stream]);
    assert_eq!(decode(version, limits, pieces(stream, *longest)), (frames.clone(), error), "cut");

    // Escaping makes a frame longer, and so does a `content-length` that was not there.
    let limits = Limits { frame_bytes: 1 << 20, header_bytes: 1 << 20, headers: limits.headers + 1 };
    for frame in frames {
        assert!(frame.headers.len() < limits.headers);
        if can_be_written(&frame, version) {
            let (read, error) = decode(version, limits, [&write(&frame, version)[..]]);
            assert_eq!(error, None, "{frame:?}");
            // What is held to here: one frame, written, is one frame.
            let [read] = &read[..] else { panic!("{frame:?} became {read:?}") };
            assert_eq!((read.command, &read.body), (frame.command, &frame.body));
            assert_eq!(own_headers(read), own_headers(&frame));
        }
        template_agrees(&frame, version);
    }
}

fn decode<'a>(
    version: Option<Version>,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(limits);
    if let Some(version) = version {
        decoder.set_version(version);
    }
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.decode() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// All but what `encode` writes itself.
fn own_headers(frame: &Frame) -> Vec<(&str, &str)> {
    frame.headers.iter().filter(|(name, _)| *name != "content-length").collect()
}

fn write(frame: &Frame, version: Option<Version>) -> BytesMut {
    let mut out = BytesMut::new();
    encode(&mut out, version.unwrap_or(Version::V12), frame.command, own_headers(frame), &frame.body);
    out
}

/// A carriage return at the end of a value cannot be told from a line end of CR LF where it is not escaped.
fn can_be_written(frame: &Frame, version: Option<Version>) -> bool {
    let is_escaped = !matches!(frame.command, Command::Connect | Command::Stomp | Command::Connected);
    let strict = version.is_some_and(|version| version < Version::V12);
    is_escaped || strict || own_headers(frame).iter().all(|(_, value)| !value.ends_with('\r'))
}

/// A MESSAGE from a template is the one that `encode` writes.
fn template_agrees(frame: &Frame, version: Option<Version>) {
    let version = version.unwrap_or(Version::V12);
    let headers = own_headers(frame);
    let (mut expected, mut written) = (BytesMut::new(), BytesMut::new());
    let id = [("subscription", "a:b")];
    let all = id.into_iter().chain(headers.iter().copied());
    encode(&mut expected, version, Command::Message, all, &frame.body);
    MessageTemplate::new(version, headers, &frame.body).write(&mut written, Some("a:b"), None);
    assert_eq!(written, expected);
}
