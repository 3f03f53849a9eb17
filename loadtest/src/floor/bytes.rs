//! The floor's bytes: what it understands of a client, and what it writes.

use std::io::Write;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::frames::{RawFrame, Scan, scan};

/// What a client wants.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// The bytes to answer its upgrade with.
    Upgrade(Vec<u8>),
    /// A STOMP frame.
    Frame(RawFrame<'a>),
    /// A WebSocket close.
    Close,
}

/// Takes a client's bytes apart. Holds memory only for what is incomplete.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    upgraded: bool,
    partial: Vec<u8>,
}

impl Inbound {
    /// Calls `on` for everything that is complete. Each STOMP frame is expected in one WebSocket frame.
    pub(super) fn receive(&mut self, input: &mut [u8], mut on: impl FnMut(Input<'_>)) {
        if self.partial.is_empty() {
            let used = self.take(input, &mut on);
            self.partial.extend_from_slice(&input[used..]);
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(input);
            let used = self.take(&mut partial, &mut on);
            self.partial.extend_from_slice(&partial[used..]);
        }
    }

    fn take(&mut self, input: &mut [u8], on: &mut impl FnMut(Input<'_>)) -> usize {
        let mut used = 0;
        if !self.upgraded {
            let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else { return 0 };
            on(Input::Upgrade(upgrade(&input[..end])));
            self.upgraded = true;
            used = end + 4;
        }
        while let Some((payload_at, length)) = client_frame(&input[used..]) {
            let opcode = input[used] & 0x0f;
            let (head, rest) = input[used..].split_at_mut(payload_at);
            let payload = &mut rest[..length];
            for (byte, key) in payload.iter_mut().zip(head[payload_at - 4..].iter().cycle()) {
                *byte ^= key;
            }
            match opcode {
                1 | 2 => {
                    if let Scan::Frame(frame, _) = scan(payload) {
                        on(Input::Frame(frame));
                    }
                }
                8 => on(Input::Close),
                _ => {}
            }
            used += payload_at + length;
        }
        used
    }
}

/// Where the payload of a masked frame begins, and its length, if all of it is there.
fn client_frame(input: &[u8]) -> Option<(usize, usize)> {
    let (at, length) = match *input.get(1)? & 0x7f {
        126 => (8, usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?))),
        127 => (14, usize::try_from(u64::from_be_bytes(*input.get(2..)?.first_chunk()?)).ok()?),
        length => (6, usize::from(length)),
    };
    (input.len() >= at + length).then_some((at, length))
}

/// Agrees to the first sub-protocol offered.
fn upgrade(request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request);
    let header = |name: &str| {
        request.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let accept = derive_accept_key(header("sec-websocket-key").unwrap_or_default().as_bytes());
    let mut reply = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if let Some(offered) = header("sec-websocket-protocol").and_then(|offers| offers.split(',').next()) {
        reply.push_str("Sec-WebSocket-Protocol: ");
        reply.push_str(offered.trim());
        reply.push_str("\r\n");
    }
    reply.push_str("\r\n");
    reply.into_bytes()
}

/// What stands behind a destination's last slash.
pub(super) fn room_of(destination: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'/', destination).map_or(0, |slash| slash + 1);
    &destination[start..]
}

/// The frame that answers this one at once, if one is due.
pub(super) fn answer(frame: &RawFrame<'_>) -> Option<Vec<u8>> {
    Some(text_frame(&answer_payload(frame)?))
}

/// The same without the WebSocket frame around it.
pub(super) fn answer_payload(frame: &RawFrame<'_>) -> Option<Vec<u8>> {
    if matches!(frame.command, b"CONNECT" | b"STOMP") {
        return Some(b"CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0".to_vec());
    }
    let receipt = frame.header("receipt")?;
    let mut payload = Vec::with_capacity(32 + receipt.len());
    payload.extend_from_slice(b"RECEIPT\nreceipt-id:");
    payload.extend_from_slice(receipt);
    payload.extend_from_slice(b"\n\n\0");
    Some(payload)
}

/// A message before it is written for a subscription.
#[derive(Debug)]
pub(super) struct Post {
    /// Where to.
    pub(super) room: Vec<u8>,
    id: u64,
    content_type: Vec<u8>,
    body: Vec<u8>,
}

impl Post {
    /// What a SEND asks for.
    pub(super) fn new(send: &RawFrame<'_>, id: u64) -> Self {
        Self {
            room: room_of(send.header("destination").unwrap_or_default()).to_vec(),
            id,
            content_type: send.header("content-type").unwrap_or(b"text/plain").to_vec(),
            body: send.body.to_vec(),
        }
    }

    /// Appends the MESSAGE, with the headers that the engine writes; `framed`, the whole WebSocket frame of it.
    pub(super) fn write(&self, subscription: &[u8], destination: &[u8], framed: bool, out: &mut Vec<u8>) {
        let start = out.len();
        if framed {
            // Room for the longest header of a frame below 64 KiB.
            out.extend_from_slice(&[0; 4]);
        }
        for piece in [b"MESSAGE\nsubscription:", subscription, b"\nmessage-id:"] {
            out.extend_from_slice(piece);
        }
        // Writing to memory cannot fail.
        let _ = write!(out, "{}", self.id);
        for piece in [b"\ndestination:", destination, b"\ncontent-type:", &self.content_type] {
            out.extend_from_slice(piece);
        }
        let _ = write!(out, "\ncontent-length:{}\n\n", self.body.len());
        out.extend_from_slice(&self.body);
        out.push(0);
        if !framed {
            return;
        }
        let length = out.len() - start - 4;
        if length < 126 {
            out[start] = 0x81;
            out[start + 1] = u8::try_from(length).expect("below 126");
            out.drain(start + 2..start + 4);
        } else {
            let length = u16::try_from(length).expect("the floor's messages are below 64 KiB");
            out[start..start + 2].copy_from_slice(&[0x81, 126]);
            out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// A whole text frame; of the answers above, all are short.
fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(4 + payload.len());
    frame.push(0x81);
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(length),
        _ => {
            let length = u16::try_from(payload.len()).expect("the floor's answers are below 64 KiB");
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Answers a client's close, with the normal code.
pub(super) const CLOSE: &[u8] = &[0x88, 2, 0x03, 0xe8];
