//! Bytes to frames, however the bytes were cut.

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{Command, Frame, Headers, Version, escape::unescape};

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a frame, from its command to its NUL.
    pub frame_bytes: usize,
    /// Bytes of the command and all headers.
    pub header_bytes: usize,
    /// Headers of one frame.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_bytes: 65_536, header_bytes: 8_192, headers: 64 }
    }
}

/// Why bytes are not a frame. The stream is lost after it: there is no way to find the next frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum DecodeError {
    #[error("unknown command {0:?}")]
    UnknownCommand(String),
    #[error("the header line {0:?} has no colon")]
    NoColon(String),
    #[error("the headers are not UTF-8")]
    NotUtf8,
    #[error("the header line {0:?} holds an escape that this version of STOMP does not define")]
    Escape(String),
    #[error("content-length {0:?} is not a number of bytes")]
    ContentLength(String),
    #[error("no NUL behind a body of {0} bytes, as content-length has it")]
    Unterminated(usize),
    #[error("the frame is longer than {0} bytes")]
    FrameTooLong(usize),
    #[error("the headers are longer than {0} bytes")]
    HeadersTooLong(usize),
    #[error("the frame has more than {0} headers")]
    TooManyHeaders(usize),
}

/// Finds frames in a stream of bytes.
///
/// Call [`decode`](Self::decode) with each piece until it returns `None`, which means that the piece is used
/// up. Memory is held only while a frame is incomplete, and every byte is looked at a bounded number of times,
/// however small the pieces are.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Version,
    /// The beginning of an incomplete frame.
    partial: BytesMut,
    progress: Progress,
}

/// What is known of an incomplete frame.
#[derive(Debug, Default)]
struct Progress {
    /// Bytes that need not be searched again.
    searched: usize,
    head: Option<Head>,
}

/// A frame up to its body.
#[derive(Debug)]
struct Head {
    command: Command,
    headers: Headers,
    /// Where the body begins.
    end: usize,
    content_length: Option<usize>,
}

impl Decoder {
    /// A decoder that holds its peer to `limits`. Until [`set_version`](Self::set_version) it expects 1.2.
    pub fn new(limits: Limits) -> Self {
        Self { limits, version: Version::V12, partial: BytesMut::new(), progress: Progress::default() }
    }

    /// The version agreed on, for the frames that follow.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// The next frame in `input`, which is advanced past what was used.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        if self.partial.is_empty() {
            skip_line_ends(input);
            if input.is_empty() {
                return Ok(None);
            }
            if let Some(body) = self.search(input)? {
                let bytes = input.split_to(body.end + 1);
                return Ok(Some(self.take(&bytes, body)));
            }
            self.partial = BytesMut::from(&input[..]);
            input.clear();
            return Ok(None);
        }
        self.partial.extend_from_slice(input);
        input.clear();
        let partial = std::mem::take(&mut self.partial);
        if let Some(body) = self.search(&partial)? {
            let mut bytes = partial.freeze();
            let frame = bytes.split_to(body.end + 1);
            *input = bytes;
            return Ok(Some(self.take(&frame, body)));
        }
        self.partial = partial;
        Ok(None)
    }

    /// Looks for a whole frame at the start of `bytes`: where its body lies.
    fn search(&mut self, bytes: &[u8]) -> Result<Option<std::ops::Range<usize>>, DecodeError> {
        let limits = self.limits;
        if self.progress.head.is_none() {
            let Some(end) = find_head_end(bytes, &mut self.progress.searched) else {
                return if bytes.len() > limits.header_bytes {
                    Err(DecodeError::HeadersTooLong(limits.header_bytes))
                } else {
                    Ok(None)
                };
            };
            if end > limits.header_bytes {
                return Err(DecodeError::HeadersTooLong(limits.header_bytes));
            }
            self.progress.head = Some(parse_head(&bytes[..end], self.version, limits)?);
            self.progress.searched = end;
        }
        let Progress { searched, head: Some(head) } = &mut self.progress else { return Ok(None) };
        let too_long = DecodeError::FrameTooLong(limits.frame_bytes);
        let body_end = match head.content_length {
            Some(length) if length >= limits.frame_bytes - head.end.min(limits.frame_bytes) => {
                return Err(too_long);
            }
            Some(length) => head.end + length,
            None => {
                let nul = memchr::memchr(0, &bytes[*searched..]).map(|at| *searched + at);
                *searched = nul.unwrap_or(bytes.len());
                *searched
            }
        };
        if body_end >= limits.frame_bytes {
            return Err(too_long);
        }
        match bytes.get(body_end) {
            None => Ok(None),
            Some(0) => Ok(Some(head.end..body_end)),
            Some(_) => Err(DecodeError::Unterminated(body_end - head.end)),
        }
    }

    /// The frame that [`search`](Self::search) found in `bytes`.
    fn take(&mut self, bytes: &Bytes, body: std::ops::Range<usize>) -> Frame {
        let head = std::mem::take(&mut self.progress).head;
        // `search` returns a range only behind a parsed head.
        let head = head.expect("a frame that was found has a head");
        Frame { command: head.command, headers: head.headers, body: bytes.slice(body) }
    }
}

/// Line ends between frames are heart-beats, or padding.
fn skip_line_ends(input: &mut Bytes) {
    let line_ends = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    input.advance(line_ends);
}

/// Where the body begins: behind the first empty line. `searched` moves to where a later call goes on.
fn find_head_end(bytes: &[u8], searched: &mut usize) -> Option<usize> {
    for at in memchr::memchr_iter(b'\n', &bytes[*searched..]) {
        let line_end = *searched + at;
        match bytes[..line_end] {
            [.., b'\n'] | [.., b'\n', b'\r'] => return Some(line_end + 1),
            _ => {}
        }
    }
    *searched = bytes.len();
    None
}

fn parse_head(bytes: &[u8], version: Version, limits: Limits) -> Result<Head, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?;
    // In 1.0 and 1.1 a carriage return belongs to the value, but no client of any version means it to.
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let name = lines.next().unwrap_or_default();
    let command = Command::from_bytes(name.as_bytes())
        .ok_or_else(|| DecodeError::UnknownCommand(name.chars().take(32).collect()))?;
    let version = if command.is_escaped() { version } else { Version::V10 };
    let mut headers = Headers::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        if headers.len() == limits.headers {
            return Err(DecodeError::TooManyHeaders(limits.headers));
        }
        let excerpt = || line.chars().take(64).collect::<String>();
        let (name, value) = line.split_once(':').ok_or_else(|| DecodeError::NoColon(excerpt()))?;
        let plain = |text| unescape(text, version).map(|text| ByteString::from(text.into_owned()));
        let (Some(name), Some(value)) = (plain(name), plain(value)) else {
            return Err(DecodeError::Escape(excerpt()));
        };
        headers.push(name, value);
    }
    let content_length = match headers.first("content-length") {
        Some(value) => Some(value.parse().map_err(|_| DecodeError::ContentLength(value.to_string()))?),
        None => None,
    };
    Ok(Head { command, headers, end: bytes.len(), content_length })
}
