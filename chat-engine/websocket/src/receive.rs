//! Bytes to parts of messages, however the bytes were cut.

use std::borrow::Cow;

use crate::{
    CONTROL_MAX, CloseFrame, Deflate, HEADER_MAX, OpCode, Violation, deflate::Inflation, header::Start, mask,
    utf8::Utf8,
};

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes masked frames only.
    Server,
    /// Takes frames only that are not masked.
    Client,
}

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, after decompression.
    pub message_bytes: usize,
}

/// What a message is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

impl From<DataKind> for OpCode {
    fn from(kind: DataKind) -> Self {
        match kind {
            DataKind::Text => Self::Text,
            DataKind::Binary => Self::Binary,
        }
    }
}

/// What a peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part of a message, in order; every message ends with a part that is its `last`. Parts follow the pieces
    /// that the bytes arrived in, not the peer's frames.
    Data {
        /// The same for all parts of a message.
        kind: DataKind,
        /// May be empty. Text is checked up to here, but a character may go on in the next part.
        bytes: Cow<'a, [u8]>,
        /// The message is complete.
        last: bool,
    },
    /// To be answered by a pong with the same payload, of at most 125 bytes.
    Ping(Cow<'a, [u8]>),
    /// An answer to a ping, or unasked for.
    Pong(Cow<'a, [u8]>),
    /// The peer sends no more: answer with a close frame. What follows in the stream is to be ignored
    /// (RFC 6455 §1.4), so this is the last to ask of a [`Receiver`].
    Close(Option<CloseFrame<'a>>),
}

/// Reads frames.
///
/// Call [`receive`](Self::receive) with the bytes that arrived until it returns `None`, which means that they
/// are used up. No message is assembled here: its parts are unmasked where they are and given out as they come.
/// Heap memory is held only within a control frame that arrives in pieces, and within a compressed message.
#[derive(Debug)]
pub struct Receiver {
    frame: Frame,
    /// Bytes of the current message that were given out.
    received: usize,
    message_bytes: usize,
    /// Of the current message, if it is compressed.
    inflation: Inflation,
    utf8: Utf8,
    /// The message that is begun.
    message: Option<Message>,
    role: Role,
    deflate: bool,
}

/// Where in a frame the bytes stand.
#[derive(Debug)]
enum Frame {
    Header {
        bytes: [u8; HEADER_MAX],
        len: u8,
    },
    Data {
        remaining: usize,
        key: [u8; 4],
        last: bool,
    },
    Control {
        opcode: OpCode,
        key: [u8; 4],
        length: u8,
        received: u8,
        payload: Option<Box<[u8; CONTROL_MAX]>>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: DataKind,
    compressed: bool,
}

impl Frame {
    const NONE: Self = Self::Header { bytes: [0; HEADER_MAX], len: 0 };
}

impl Receiver {
    /// One for a new connection. `deflate` is what the handshake agreed on.
    pub fn new(role: Role, limits: Limits, deflate: Option<Deflate>) -> Self {
        Self {
            frame: Frame::NONE,
            received: 0,
            message_bytes: limits.message_bytes,
            inflation: Inflation::default(),
            utf8: Utf8::default(),
            message: None,
            role,
            deflate: deflate.is_some(),
        }
    }

    /// Whether the peer owes the rest of a frame or of a message: it may be slow on purpose.
    pub const fn is_mid_frame(&self) -> bool {
        self.message.is_some() || !matches!(self.frame, Frame::Header { len: 0, .. })
    }

    /// Takes from the start of `input`: how many bytes were used, and what they say. `None` comes only when
    /// all of them were used. After an error there is nothing left but to close.
    pub fn receive<'a>(&mut self, input: &'a mut [u8]) -> Result<(usize, Option<Event<'a>>), Violation> {
        let mut used = 0;
        loop {
            used += self.receive_header(&input[used..])?;
            let available = input.len() - used;
            match self.frame {
                Frame::Header { .. } => return Ok((used, None)),
                Frame::Data { remaining: 0, last: false, .. } => self.frame = Frame::NONE,
                Frame::Data { remaining, .. } if remaining > 0 && available == 0 => return Ok((used, None)),
                Frame::Data { remaining, .. } => {
                    let end = used + remaining.min(available);
                    let event = self.receive_data(&mut input[used..end])?;
                    return Ok((end, Some(event)));
                }
                Frame::Control { length, received, .. } => {
                    let end = used + usize::from(length - received).min(available);
                    let event = self.receive_control(&mut input[used..end])?;
                    return Ok((end, event));
                }
            }
        }
    }

    /// Goes on with a header, if that is where the bytes stand: how many were used.
    fn receive_header(&mut self, input: &[u8]) -> Result<usize, Violation> {
        let Frame::Header { mut bytes, len } = self.frame else { return Ok(0) };
        let len = usize::from(len);
        if len == 0
            && let Some(size) = self.begin_frame(input)?
        {
            return Ok(size);
        }
        let added = input.len().min(HEADER_MAX - len);
        let known = len + added;
        bytes[len..known].copy_from_slice(&input[..added]);
        if len > 0
            && let Some(size) = self.begin_frame(&bytes[..known])?
        {
            return Ok(size - len);
        }
        // No header is longer than HEADER_MAX, so that an incomplete one has taken all of `input`.
        #[expect(clippy::cast_possible_truncation, reason = "at most HEADER_MAX")]
        let len = known as u8;
        self.frame = Frame::Header { bytes, len };
        Ok(added)
    }

    /// Begins the frame whose header stands at the start of `bytes`: the header's size, if it is complete. Each
    /// rule is applied as soon as the bytes it needs are there.
    fn begin_frame(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let start = Start::parse(*first, *second)?;
        match (self.role, start.masked) {
            (Role::Server, false) => return Err(Violation::NotMasked),
            (Role::Client, true) => return Err(Violation::Masked),
            _ => {}
        }
        let message = self.message_of(start)?;
        let Some((length, rest)) = start.length(rest)? else { return Ok(None) };
        let room = match message {
            Some(Message { compressed: true, .. }) => self.inflation.room(self.message_bytes),
            Some(_) => self.message_bytes.saturating_sub(self.received),
            None => CONTROL_MAX,
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= room);
        let Some(length) = length else { return Err(Violation::TooLong(self.message_bytes)) };
        let (key, rest) = match (start.masked, rest.split_first_chunk()) {
            (false, _) => ([0; 4], rest),
            (true, Some((key, rest))) => (*key, rest),
            (true, None) => return Ok(None),
        };
        if message.is_some() {
            self.message = message;
            self.frame = Frame::Data { remaining: length, key, last: start.last };
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "at most CONTROL_MAX")]
            let length = length as u8;
            self.frame = Frame::Control { opcode: start.opcode, key, length, received: 0, payload: None };
        }
        Ok(Some(bytes.len() - rest.len()))
    }

    /// The message that a frame belongs to; `None` for a control frame (RFC 6455 §5.4, RFC 7692 §6).
    fn message_of(&self, start: Start) -> Result<Option<Message>, Violation> {
        let begins = |kind| match self.message {
            Some(_) => Err(Violation::MessageInMessage),
            None if start.compressed && !self.deflate => Err(Violation::ReservedBit),
            None => Ok(Some(Message { kind, compressed: start.compressed })),
        };
        match start.opcode {
            OpCode::Text => begins(DataKind::Text),
            OpCode::Binary => begins(DataKind::Binary),
            _ if start.compressed => Err(Violation::ReservedBit),
            OpCode::Continue => self.message.ok_or(Violation::NothingToContinue).map(Some),
            OpCode::Close | OpCode::Ping | OpCode::Pong => Ok(None),
        }
    }

    /// The next bytes of a data frame; all of them belong to it.
    fn receive_data<'a>(&mut self, bytes: &'a mut [u8]) -> Result<Event<'a>, Violation> {
        let (Frame::Data { remaining, key, last }, Some(message)) = (&mut self.frame, self.message) else {
            unreachable!("`receive` comes here within a data frame only, and that frame has a message")
        };
        if self.role == Role::Server {
            *key = mask::apply(bytes, *key);
        }
        *remaining -= bytes.len();
        let frame_ends = *remaining == 0;
        let last = *last && frame_ends;
        let (bytes, outcome) = if message.compressed {
            let (plain, outcome) = self.inflation.inflate(bytes, self.received, self.message_bytes, last);
            (Cow::Owned(plain), outcome)
        } else {
            (Cow::Borrowed(&*bytes), Ok(()))
        };
        self.received += bytes.len();
        if message.kind == DataKind::Text {
            self.utf8.check(&bytes)?;
        }
        // Behind the check, so that what is wrong first in the message is named, wherever it was cut.
        outcome?;
        if frame_ends {
            self.frame = Frame::NONE;
        }
        if last {
            if !self.utf8.is_complete() {
                return Err(Violation::NotUtf8);
            }
            self.message = None;
            self.received = 0;
        }
        Ok(Event::Data { kind: message.kind, bytes, last })
    }

    /// The next bytes of a control frame; all of them belong to it. Whole in one piece, as nearly always, it is
    /// given out from where it is.
    fn receive_control<'a>(&mut self, bytes: &'a mut [u8]) -> Result<Option<Event<'a>>, Violation> {
        let Frame::Control { opcode, key, length, received, payload } = &mut self.frame else {
            unreachable!("`receive` comes here within a control frame only")
        };
        if self.role == Role::Server {
            *key = mask::apply(bytes, *key);
        }
        let (opcode, length) = (*opcode, usize::from(*length));
        let whole = if bytes.len() == length {
            Cow::Borrowed(&*bytes)
        } else {
            let kept = payload.get_or_insert_with(|| Box::new([0; CONTROL_MAX]));
            let start = usize::from(*received);
            let end = start + bytes.len();
            kept[start..end].copy_from_slice(bytes);
            #[expect(clippy::cast_possible_truncation, reason = "at most `length`")]
            let end = end as u8;
            *received = end;
            if usize::from(end) < length {
                return Ok(None);
            }
            Cow::Owned(kept[..length].to_vec())
        };
        self.frame = Frame::NONE;
        Ok(Some(match opcode {
            OpCode::Ping => Event::Ping(whole),
            OpCode::Pong => Event::Pong(whole),
            _ => Event::Close(CloseFrame::parse(whole)?),
        }))
    }
}
