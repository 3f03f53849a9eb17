//! Compressed messages: the extension `permessage-deflate` (RFC 7692).
//!
//! Neither side ever keeps a window from one message to the next ("context take-over"). It would cost each
//! connection some 300 KiB; without it a compressor is borrowed for one message, and one compressed frame serves
//! any number of receivers.

mod compress;
mod inflate;
mod offer;

use bytes::{Buf, Bytes};

use crate::{DataKind, FrameHeader, send};

pub(crate) use inflate::Inflation;

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deflate {
    /// How far back what we compress may refer, as a power of two: 9 to 15.
    window_bits: u8,
}

impl Default for Deflate {
    /// With nothing said about windows. A client may take this when the server's answer accepts the extension.
    fn default() -> Self {
        Self { window_bits: 15 }
    }
}

impl Deflate {
    /// The first acceptable offer in the values of `Sec-WebSocket-Extensions`, and the value to answer with. None
    /// means to go on without compression.
    pub fn negotiate<'a>(offers: impl Iterator<Item = &'a str>) -> Option<(Self, String)> {
        let offer = offers.flat_map(|header| offer::split(header, ',')).find_map(offer::parse)?;
        let mut answer =
            String::from("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        if let Some(bits) = offer.server_max_window_bits {
            answer.push_str("; server_max_window_bits=");
            answer.push_str(&bits.to_string());
        }
        // `client_max_window_bits` goes unanswered: an inflater's window is as large as can be in any case.
        let window_bits = offer.server_max_window_bits.unwrap_or(Self::default().window_bits);
        Some((Self { window_bits }, answer))
    }

    /// A whole compressed frame of a server, or `None` when that would not be shorter.
    pub fn compress(&self, kind: DataKind, payload: &[u8]) -> Option<Bytes> {
        let header = FrameHeader { compressed: true, ..FrameHeader::new(kind.into()) };
        let mut frame = compress::compress(payload, self.window_bits, send::SERVER_HEADER_MAX)?;
        let start = send::put_header_before(header, &mut frame);
        let mut frame = Bytes::from(frame);
        frame.advance(start);
        Some(frame)
    }

    /// Appends a compressed frame of a client; false when that would not be shorter, and nothing is appended.
    pub fn compress_masked(&self, kind: DataKind, payload: &[u8], key: [u8; 4], out: &mut Vec<u8>) -> bool {
        let Some(payload) = compress::compress(payload, self.window_bits, 0) else { return false };
        let header = FrameHeader { compressed: true, mask: Some(key), ..FrameHeader::new(kind.into()) };
        send::put_masked(header, key, &payload, out);
        true
    }
}
