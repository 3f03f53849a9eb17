//! Bytes to frames, however the bytes were cut.

use std::borrow::Cow;

use bytes::BytesMut;
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
    #[error("the header line {0:?} has no name before its colon")]
    NoName(String),
    #[error("the headers are not UTF-8")]
    NotUtf8,
    #[error("a NUL comes before the empty line that ends the headers")]
    NulInHeaders,
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
/// [`push`](Self::push) each piece, then [`decode`](Self::decode) until it returns `None`. Memory is held only
/// while a frame is incomplete or not yet asked for, and every byte is looked at a bounded number of times,
/// however small the pieces are. A piece is copied once; frames and their headers are slices of that copy.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Option<Version>,
    /// Pushed and not yet given out as a frame.
    buffer: BytesMut,
    /// The buffer shares its memory with what was split off it.
    shared: bool,
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

impl Progress {
    fn is_start(&self) -> bool {
        self.searched == 0 && self.head.is_none()
    }
}

impl Decoder {
    /// A decoder that holds its peer to `limits`. Until [`set_version`](Self::set_version) it takes what any
    /// version allows: CR LF at the end of a line, and the escapes of 1.2.
    pub fn new(limits: Limits) -> Self {
        Self { limits, version: None, buffer: BytesMut::new(), shared: false, progress: Progress::default() }
    }

    /// The version agreed on, for the frames that follow.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// What the peer may send from here on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes a piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        let piece = if self.buffer.is_empty() { skip_line_ends(piece) } else { piece };
        // Nothing is allocated for a heart-beat.
        if !piece.is_empty() {
            self.buffer.extend_from_slice(piece);
        }
    }

    /// The next frame of what was pushed. After an error the stream is lost.
    pub fn decode(&mut self) -> Result<Option<Frame>, DecodeError> {
        let line_ends = self.buffer.len() - skip_line_ends(&self.buffer).len();
        if self.progress.is_start() && line_ends > 0 {
            let _ = self.buffer.split_to(line_ends);
            self.shared = true;
        }
        if self.buffer.is_empty() {
            // What was split off may live on; the room behind it is given back.
            self.buffer = BytesMut::new();
            self.shared = false;
            return Ok(None);
        }
        let buffer = std::mem::take(&mut self.buffer);
        let body = self.search(&buffer);
        self.buffer = buffer;
        if let Some(body) = body? {
            return Ok(Some(self.take(body)));
        }
        if std::mem::take(&mut self.shared) {
            // The piece may have been large: the beginning of a frame at its end would keep all of it. The next piece
            // would have it copied in any case.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Ok(None)
    }

    /// After an error: the `receipt` of the frame that was broken, if it can still be read.
    pub fn broken_receipt(&self) -> Option<ByteString> {
        let version = self.version.unwrap_or(Version::V12);
        let head = &self.buffer[..self.buffer.len().min(self.limits.header_bytes)];
        let head = head.split(|byte| *byte == 0).next().unwrap_or_default();
        // Whole lines only: what is behind them depends on how the bytes were cut.
        let lines = head.split_inclusive(|byte| *byte == b'\n').skip(1);
        let mut lines = lines
            .filter_map(|line| line.strip_suffix(b"\n"))
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .take_while(|line| !line.is_empty());
        let value = std::str::from_utf8(lines.find_map(|line| line.strip_prefix(b"receipt:"))?).ok()?;
        unescape(value, version).map(|value| ByteString::from(value.into_owned()))
    }

    /// Whether the beginning of a frame is there and its end is not.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Looks for a whole frame at the start of `bytes`: where its body lies.
    fn search(&mut self, bytes: &[u8]) -> Result<Option<std::ops::Range<usize>>, DecodeError> {
        let limits = self.limits;
        if self.progress.head.is_none() {
            let strict = self.version.is_some_and(|version| version < Version::V12);
            // No byte behind the limit is looked at, so that the answer is the same however the bytes were cut.
            let within = &bytes[..bytes.len().min(limits.header_bytes)];
            let Some(end) = find_head_end(within, &mut self.progress.searched, strict)? else {
                return if bytes.len() > limits.header_bytes {
                    Err(DecodeError::HeadersTooLong(limits.header_bytes))
                } else {
                    Ok(None)
                };
            };
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

    /// The frame that [`search`](Self::search) found at the start of the buffer.
    fn take(&mut self, body: std::ops::Range<usize>) -> Frame {
        let head = std::mem::take(&mut self.progress).head;
        // `search` returns a range only behind a parsed head.
        let head = head.expect("a frame that was found has a head");
        let bytes = self.buffer.split_to(body.end + 1).freeze();
        self.shared = true;
        Frame { command: head.command, headers: head.headers, body: bytes.slice(body) }
    }
}

/// Line ends between frames are heart-beats, or padding.
fn skip_line_ends(input: &[u8]) -> &[u8] {
    let line_ends = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    &input[line_ends..]
}

/// Where the body begins: behind the first empty line. `searched` moves to where a later call goes on. Only 1.2
/// has line ends of CR LF.
fn find_head_end(bytes: &[u8], searched: &mut usize, strict: bool) -> Result<Option<usize>, DecodeError> {
    for at in memchr::memchr2_iter(b'\n', 0, &bytes[*searched..]) {
        let line_end = *searched + at;
        match bytes[..=line_end] {
            [.., 0] => return Err(DecodeError::NulInHeaders),
            [.., b'\n', b'\n'] => return Ok(Some(line_end + 1)),
            [.., b'\n', b'\r', b'\n'] if !strict => return Ok(Some(line_end + 1)),
            _ => {}
        }
    }
    *searched = bytes.len();
    Ok(None)
}

fn parse_head(bytes: &[u8], version: Option<Version>, limits: Limits) -> Result<Head, DecodeError> {
    let end = bytes.len();
    let text = ByteString::try_from(bytes).map_err(|_| DecodeError::NotUtf8)?;
    // In 1.0 and 1.1 a carriage return belongs to the value.
    let strict = version.is_some_and(|version| version < Version::V12);
    let line_end = |line| if strict { line } else { str::strip_suffix(line, '\r').unwrap_or(line) };
    let mut lines = text.split('\n').map(line_end);
    let name = lines.next().unwrap_or_default();
    let command = Command::from_bytes(name.as_bytes())
        .ok_or_else(|| DecodeError::UnknownCommand(name.chars().take(32).collect()))?;
    let padded = version == Some(Version::V10);
    let version = if command.is_escaped() { version.unwrap_or(Version::V12) } else { Version::V10 };
    // 1.0's own examples pad values with spaces, and so do its clients.
    let trim = |value| if padded { str::trim(value) } else { value };
    let mut headers = Headers::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        if headers.len() == limits.headers {
            return Err(DecodeError::TooManyHeaders(limits.headers));
        }
        let excerpt = || line.chars().take(64).collect::<String>();
        let (name, value) = line.split_once(':').ok_or_else(|| DecodeError::NoColon(excerpt()))?;
        if name.is_empty() {
            return Err(DecodeError::NoName(excerpt()));
        }
        let plain = |part| match unescape(part, version)? {
            Cow::Borrowed(part) => Some(text.slice_ref(part)),
            Cow::Owned(part) => Some(ByteString::from(part)),
        };
        let (Some(name), Some(value)) = (plain(name), plain(value)) else {
            return Err(DecodeError::Escape(excerpt()));
        };
        headers.push(name, value);
    }
    let content_length = match headers.first("content-length").map(|value| trim(value)) {
        Some(value) if value.bytes().all(|byte| byte.is_ascii_digit()) => value.parse().ok(),
        Some(_) => None,
        None => return Ok(Head { command, headers, end, content_length: None }),
    };
    let Some(length) = content_length else {
        let value = headers.first("content-length").map(|value| value.chars().take(32).collect());
        return Err(DecodeError::ContentLength(value.unwrap_or_default()));
    };
    Ok(Head { command, headers, end, content_length: Some(length) })
}
