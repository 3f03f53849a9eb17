//! A WebSocket client: as much of RFC 6455 as a conversation needs, and nothing clever.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than anything here takes, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// RFC 6455 §1.3 works its example out with this key, so nothing need be hashed here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    Message {
        opcode: u8,
        payload: Vec<u8>,
    },
    Pong(Vec<u8>),
    /// A close frame with its code, if it has one.
    Close(Option<u16>),
    /// The end of the TCP connection.
    End,
}

pub(crate) struct WebSocket {
    stream: TcpStream,
}

/// What the server said to the handshake.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }
}

impl WebSocket {
    /// Asks for a WebSocket, with more headers (each ended by CR LF).
    pub(crate) fn ask(addr: SocketAddr, headers: &str) -> (Self, Response) {
        let mut stream = TcpStream::connect(addr).expect("the engine listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the engine takes a request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the engine answers");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("the head is text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let status = status.parse().expect("a status is a number");
        let mut response = Response { status, headers, body: String::new() };
        if status == 101 {
            assert_eq!(response.all("Sec-WebSocket-Accept"), [ACCEPT]);
        } else {
            let length =
                response.all("Content-Length").first().map_or(0, |length| length.parse().expect("a number"));
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("the body follows");
            response.body = String::from_utf8(body).expect("the body is text");
        }
        (Self { stream }, response)
    }

    /// Sends a frame, masked, as a client must.
    pub(crate) fn send(&mut self, opcode: u8, last: bool, payload: &[u8]) {
        let mask = [0x5a, 0xc3, 0x01, 0xff];
        let mut frame = head(opcode, last, payload.len(), 0x80);
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.send_bytes(&frame);
    }

    /// Sends a frame as only a server may.
    pub(crate) fn send_unmasked(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = head(opcode, true, payload.len(), 0);
        frame.extend(payload);
        self.send_bytes(&frame);
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        // A server that has closed meanwhile has said why, and that is what is read next.
        let _ = self.stream.write_all(bytes);
    }

    /// The next message, its frames put together, or what is none.
    pub(crate) fn receive(&mut self) -> Received {
        let mut message: Option<(u8, Vec<u8>)> = None;
        loop {
            let Some([first, second]) = self.read() else { return Received::End };
            let (last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
            assert_eq!(reserved, 0, "no extension was agreed on");
            assert_eq!(second & 0x80, 0, "a server does not mask");
            let length = match second {
                126 => self.read().map(|bytes| u64::from(u16::from_be_bytes(bytes))),
                127 => self.read().map(u64::from_be_bytes),
                short => Some(u64::from(short)),
            };
            let length = length.expect("the length follows");
            let mut payload = vec![0; usize::try_from(length).expect("it fits")];
            self.stream.read_exact(&mut payload).expect("the payload follows");
            match opcode {
                TEXT | BINARY => {
                    assert!(message.is_none(), "a message began within another");
                    message = Some((opcode, payload));
                }
                CONTINUATION => message.as_mut().expect("a continuation continues").1.extend(payload),
                PING => {
                    self.send(PONG, true, &payload);
                    continue;
                }
                PONG => return Received::Pong(payload),
                CLOSE => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    self.send(CLOSE, true, payload.get(..2).unwrap_or_default());
                    return Received::Close(code);
                }
                other => panic!("opcode {other}"),
            }
            if last {
                let (opcode, payload) = message.expect("it was begun");
                let is_text = opcode != TEXT || std::str::from_utf8(&payload).is_ok();
                assert!(is_text, "a text message is UTF-8");
                return Received::Message { opcode, payload };
            }
        }
    }

    /// `None` at the end of the connection.
    fn read<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                None
            }
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

fn head(opcode: u8, last: bool, length: usize, mask: u8) -> Vec<u8> {
    let first = opcode | if last { 0x80 } else { 0 };
    match length {
        0..=125 => vec![first, mask + u8::try_from(length).expect("it is short")],
        126..=0xffff => {
            let mut head = vec![first, mask | 0x7e];
            head.extend(u16::try_from(length).expect("it fits").to_be_bytes());
            head
        }
        _ => {
            let mut head = vec![first, mask | 0x7f];
            head.extend((length as u64).to_be_bytes());
            head
        }
    }
}
