//! What comes: bytes, WebSocket frames in them, STOMP frames in those.

use std::time::Duration;

use bytes::BytesMut;
use shared::testing;
use socket2::SockRef;
use stomp::Command;
use tokio::{io::AsyncReadExt as _, time::timeout};
use websocket::{DataKind, Event};

use super::{Incoming, Peer};
use crate::client::PATIENCE;

impl Peer {
    /// Reads more; false at the end.
    pub(super) async fn read(&mut self) -> bool {
        match timeout(PATIENCE, self.socket.read_buf(&mut self.input)).await.expect("bytes in time") {
            Ok(0) => self.farewell.clean = true,
            Ok(_) => return true,
            Err(_) => {}
        }
        false
    }

    /// Whether the server is still there, as far as is known at the moment.
    pub(crate) fn is_open(&mut self) -> bool {
        match self.socket.try_read_buf(&mut self.input) {
            Ok(0) => {
                self.farewell.clean = true;
                false
            }
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }

    /// The whole frames that have come to this machine, none of which is read; once no more come, because there is no room
    /// for them. Nothing tells of the last one: a sender asks again whether there is room, less and less often, but the first
    /// times while this looks as often as it does.
    pub(crate) async fn pending(&self) -> Vec<String> {
        const LOOKS: usize = 25;
        assert!(self.input.is_empty(), "a part was read");
        let (mut bytes, mut length, mut same) = (vec![0; 1 << 20], 0, 0);
        let look = async || {
            let now = self.socket.peek(&mut bytes).await.unwrap();
            same = if now == length { same + 1 } else { 0 };
            length = now;
            same
        };
        testing::becomes("no more bytes to come", look, |same| *same == LOOKS).await;
        let (mut rest, mut frames) = (&bytes[..length], Vec::new());
        while let Some(frame) = frame_length(rest).and_then(|length| rest.split_off(..length)) {
            frames.push(String::from_utf8_lossy(frame).into_owned());
        }
        frames
    }

    /// Ends the connection as a machine does that knows nothing of it.
    pub(crate) fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The next bytes, as they are; `None` at the end.
    pub(crate) async fn bytes(&mut self) -> Option<BytesMut> {
        let there = !self.input.is_empty() || self.read().await;
        there.then(|| self.input.split())
    }

    /// An HTTP response with its body, if that has a length.
    pub(crate) async fn response(&mut self) -> Option<String> {
        loop {
            let text = String::from_utf8_lossy(&self.input);
            if let Some(end) = text.find("\r\n\r\n") {
                let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                if self.input.len() >= end + 4 + length {
                    let response = self.input.split_to(end + 4 + length);
                    return Some(String::from_utf8(response.to_vec()).unwrap());
                }
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The next STOMP frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Incoming> {
        while self.incoming.is_empty() {
            let frame = self.websocket_frame().await?;
            self.take(frame);
        }
        self.incoming.pop_front()
    }

    /// Reads until so many pongs have come in all.
    pub(crate) async fn pongs(&mut self, count: usize) -> &[Vec<u8>] {
        while self.pongs.len() < count {
            let frame = self.websocket_frame().await.expect("the server goes on");
            self.take(frame);
        }
        &self.pongs
    }

    /// The next WebSocket frame, whole.
    pub(super) async fn websocket_frame(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(length) = frame_length(&self.input)
                && self.input.len() >= length
            {
                return Some(self.input.split_to(length));
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The next WebSocket message, which need not be STOMP, and whether it was compressed; `None` at the end, or at a close.
    pub(crate) async fn message(&mut self) -> Option<(DataKind, Vec<u8>, bool)> {
        loop {
            let frame = self.websocket_frame().await?;
            let compressed = frame[0] & 0x40 != 0;
            if let Some((kind, message)) = self.receive(frame) {
                return Some((kind, message, compressed));
            }
            if self.farewell.close.is_some() {
                return None;
            }
        }
    }

    pub(super) fn take(&mut self, frame: BytesMut) {
        let compressed = frame[0] & 0x40 != 0;
        if let Some((kind, message)) = self.receive(frame) {
            self.take_message(&message, kind, compressed);
        }
    }

    /// Notes what a frame tells; the message in it, if there is one. The server does not cut messages up.
    fn receive(&mut self, mut frame: BytesMut) -> Option<(DataKind, Vec<u8>)> {
        let (mut at, mut message, mut whole) = (0, Vec::new(), None);
        while at < frame.len() {
            let (used, event) = self.receiver.receive(&mut frame[at..]).expect("the server speaks RFC 6455");
            at += used;
            match event {
                Some(Event::Data { bytes, kind, last }) => {
                    message.extend_from_slice(&bytes);
                    whole = last.then_some(kind);
                }
                Some(Event::Pong(payload)) => self.pongs.push(payload.into_owned()),
                Some(Event::Close(close)) => {
                    self.farewell.close = close.map(|close| (close.code, close.reason.into_owned()));
                }
                Some(Event::Ping(_)) | None => {}
            }
        }
        whole.map(|kind| (kind, message))
    }

    fn take_message(&mut self, message: &[u8], kind: DataKind, compressed: bool) {
        self.decoder.push(message);
        while let Some(frame) = self.decoder.decode().expect("the server speaks STOMP") {
            if frame.command == Command::Error {
                let title = frame.headers.first("message").expect("an ERROR has a message").to_string();
                let text = String::from_utf8(frame.body.to_vec()).expect("an ERROR is text");
                self.farewell.error = Some((title, text));
            }
            let text = String::from_utf8_lossy(message).into_owned();
            self.incoming.push_back(Incoming { frame, text, kind, compressed });
        }
    }
}

/// The length of the server's frame at the start of `bytes`, once it is there to read.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (header, length) = match *bytes.get(1)? {
        126 => (4, u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes[2..].first_chunk()?)),
        short => (2, u64::from(short)),
    };
    Some(header + usize::try_from(length).unwrap())
}
