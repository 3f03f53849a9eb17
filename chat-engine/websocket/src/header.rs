//! The header of a frame (RFC 6455 §5.2).

use bytes::BufMut;

use crate::{CONTROL_MAX, Violation};

/// The longest header: two bytes, a length of eight, a masking key.
pub const HEADER_MAX: usize = 14;

/// Stands for a length in the next two bytes.
const LENGTH_16: u8 = 0x7e;
/// Stands for a length in the next eight bytes.
const LENGTH_64: u8 = 0x7f;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the frame of that name in the specification")]
pub enum OpCode {
    Continue = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl OpCode {
    /// Whether it is about the connection, not about a message.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn parse(nibble: u8) -> Result<Self, Violation> {
        Ok(match nibble {
            0x0 => Self::Continue,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            reserved => return Err(Violation::ReservedOpCode(reserved)),
        })
    }
}

/// All of a header but the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// FIN: the last frame of its message.
    pub last: bool,
    /// RSV1: the message that begins with this frame is compressed (RFC 7692 §6).
    pub compressed: bool,
    /// What the frame is.
    pub opcode: OpCode,
    /// The masking key, in a frame from a client.
    pub mask: Option<[u8; 4]>,
}

impl FrameHeader {
    /// The header of an unfragmented frame from a server.
    pub const fn new(opcode: OpCode) -> Self {
        Self { last: true, compressed: false, opcode, mask: None }
    }

    /// Bytes that it takes before a payload of `length` bytes.
    pub const fn size(self, length: usize) -> usize {
        let extended = match length {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        2 + extended + if self.mask.is_some() { 4 } else { 0 }
    }

    /// Writes it for a payload of `length` bytes.
    pub fn put(self, length: usize, out: &mut impl BufMut) {
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let flags = (u8::from(self.last) << 7) | (u8::from(self.compressed) << 6);
        out.put_u8(flags | self.opcode as u8);
        if let Ok(short) = u8::try_from(length)
            && usize::from(short) <= CONTROL_MAX
        {
            out.put_u8(mask_bit | short);
        } else if let Ok(medium) = u16::try_from(length) {
            out.put_u8(mask_bit | LENGTH_16);
            out.put_u16(medium);
        } else {
            out.put_u8(mask_bit | LENGTH_64);
            out.put_u64(length as u64);
        }
        if let Some(key) = self.mask {
            out.put_slice(&key);
        }
    }
}

/// The two bytes every header begins with: enough to refuse most of what is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) last: bool,
    pub(crate) compressed: bool,
    pub(crate) opcode: OpCode,
    pub(crate) masked: bool,
    short_length: u8,
}

impl Start {
    pub(crate) fn parse(first: u8, second: u8) -> Result<Self, Violation> {
        if first & 0x30 != 0 {
            return Err(Violation::ReservedBit);
        }
        let start = Self {
            last: first & 0x80 != 0,
            compressed: first & 0x40 != 0,
            opcode: OpCode::parse(first & 0x0f)?,
            masked: second & 0x80 != 0,
            short_length: second & 0x7f,
        };
        if start.opcode.is_control() {
            if !start.last {
                return Err(Violation::ControlFragmented);
            }
            if usize::from(start.short_length) > CONTROL_MAX {
                return Err(Violation::ControlTooLong);
            }
        }
        Ok(start)
    }

    /// The length of the payload, and what follows it of `rest`, the bytes behind the first two.
    pub(crate) fn length(self, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
        let (length, shortest, rest) = match self.short_length {
            LENGTH_16 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), 126, rest),
                None => return Ok(None),
            },
            LENGTH_64 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u64::from_be_bytes(*bytes), 0x1_0000, rest),
                None => return Ok(None),
            },
            short => (u64::from(short), 0, rest),
        };
        if length < shortest {
            return Err(Violation::LengthNotShortest);
        }
        if length >> 63 != 0 {
            return Err(Violation::LengthTopBit);
        }
        Ok(Some((length, rest)))
    }
}
