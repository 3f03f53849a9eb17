//! Frames to bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{CONTROL_MAX, DataKind, FrameHeader, OpCode, mask};

/// The longest header of a server's frame: there is no masking key in it.
pub(crate) const SERVER_HEADER_MAX: usize = 10;

/// A payload that is written once: the header goes before it in the same memory.
#[derive(Debug)]
pub struct FrameBuffer {
    /// Room for the header, then the payload.
    bytes: BytesMut,
}

impl FrameBuffer {
    /// Room for `payload` bytes before it has to grow.
    pub fn with_capacity(payload: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(SERVER_HEADER_MAX + payload);
        bytes.put_bytes(0, SERVER_HEADER_MAX);
        Self { bytes }
    }

    /// Where to append the payload. What is already in there must stay.
    pub fn payload_mut(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// The payload so far.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[SERVER_HEADER_MAX..]
    }

    /// The whole message as one frame of a server.
    pub fn finish(self, kind: DataKind) -> Bytes {
        let header = FrameHeader::new(kind.into());
        let mut bytes = self.bytes;
        let start = put_header_before(header, &mut bytes);
        bytes.advance(start);
        bytes.freeze()
    }
}

/// Writes the header into the [`SERVER_HEADER_MAX`] bytes before the payload, up against it: where the frame
/// begins.
pub(crate) fn put_header_before(header: FrameHeader, bytes: &mut [u8]) -> usize {
    let length = bytes.len() - SERVER_HEADER_MAX;
    let start = SERVER_HEADER_MAX - header.size(length);
    header.put(length, &mut &mut bytes[start..]);
    start
}

/// A frame of a server. Of a control frame's payload only the first 125 bytes are taken.
pub fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let payload = if opcode.is_control() { &payload[..payload.len().min(CONTROL_MAX)] } else { payload };
    let header = FrameHeader::new(opcode);
    let mut out = BytesMut::with_capacity(header.size(payload.len()) + payload.len());
    header.put(payload.len(), &mut out);
    out.put_slice(payload);
    out.freeze()
}

/// A ping of a server.
pub fn ping(payload: &[u8]) -> Bytes {
    frame(OpCode::Ping, payload)
}

/// A server's answer to a ping with this payload.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(OpCode::Pong, payload)
}

/// A close frame of a server. The reason is cut to 123 bytes, not within a character.
pub fn close(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - 2)];
    let mut payload = [0; CONTROL_MAX];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
    frame(OpCode::Close, &payload[..2 + reason.len()])
}

/// Appends a frame of a client, whatever its payload: tests send what must be refused.
///
/// RFC 6455 §5.3 wants a fresh and unpredictable `key` for each frame of a real client.
pub fn mask_frame(opcode: OpCode, payload: &[u8], key: [u8; 4], out: &mut Vec<u8>) {
    put_masked(FrameHeader { mask: Some(key), ..FrameHeader::new(opcode) }, key, payload, out);
}

pub(crate) fn put_masked(header: FrameHeader, key: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(header.size(payload.len()) + payload.len());
    header.put(payload.len(), out);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], key);
}
