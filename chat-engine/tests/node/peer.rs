//! A client by hand: every byte that it gets can be seen, and every byte that it sends may be wrong.

mod reading;

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use bytes::BytesMut;
use stomp::{Command, Decoder, Frame, Limits, Version, encode};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use websocket::{DataKind, Deflate, OpCode, Receiver, Role, mask_frame};

use crate::client::PATIENCE;

/// Any key does: nobody stands between.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A request for `/ws` up to where more headers may come.
pub(crate) const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A socket, and what was read from it.
pub(crate) struct Peer {
    socket: TcpStream,
    input: BytesMut,
    receiver: Receiver,
    decoder: Decoder,
    version: Version,
    incoming: VecDeque<Incoming>,
    farewell: Farewell,
    /// Payloads of the pongs that came.
    pongs: Vec<Vec<u8>>,
}

/// A STOMP frame, and the WebSocket message that it came in.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) frame: Frame,
    pub(crate) text: String,
    pub(crate) kind: DataKind,
    pub(crate) compressed: bool,
}

/// How a connection ended.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    /// How many pongs came before.
    pub(crate) pongs: usize,
    /// Bodies of the messages that came before.
    pub(crate) messages: Vec<String>,
    /// `message` and body of an ERROR.
    pub(crate) error: Option<(String, String)>,
    /// Code and reason of a close frame.
    pub(crate) close: Option<(u16, String)>,
    /// The socket ended as it should, and was not reset.
    pub(crate) clean: bool,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.frame.headers.first(name).map(|value| &**value)
    }

    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.frame.body).expect("text")
    }
}

impl Farewell {
    /// Closed with this code.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: u16) {
        assert_eq!(self.close.as_ref().map(|(code, _)| *code), Some(code), "{self:?}");
        assert!(self.clean, "the connection was reset behind {self:?}");
    }

    /// An ERROR whose body is this, then a close with that code.
    #[track_caller]
    pub(crate) fn assert_error(&self, text: &str, code: u16) {
        assert_eq!(self.error.as_ref().map(|(_, text)| &**text), Some(text), "{self:?}");
        self.assert_code(code);
    }
}

impl Peer {
    /// A TCP connection.
    pub(crate) async fn dial(addr: SocketAddr) -> Self {
        Self::dial_with(addr, TcpSocket::new_v4().unwrap()).await
    }

    /// From another address of this machine.
    pub(crate) async fn dial_from(source: impl Into<IpAddr>, addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source.into(), 0).into()).unwrap();
        Self::dial_with(addr, socket).await
    }

    pub(crate) async fn dial_with(addr: SocketAddr, socket: TcpSocket) -> Self {
        let socket = timeout(PATIENCE, socket.connect(addr)).await.expect("a connection in time").unwrap();
        socket.set_nodelay(true).unwrap();
        let limits = websocket::Limits { message_bytes: usize::MAX };
        Self {
            socket,
            input: BytesMut::new(),
            receiver: Receiver::new(Role::Client, limits, Some(Deflate::default())),
            decoder: Decoder::new(Limits { frame_bytes: 1 << 24, header_bytes: 1 << 24, headers: 1 << 16 }),
            version: Version::V12,
            incoming: VecDeque::new(),
            farewell: Farewell::default(),
            pongs: Vec::new(),
        }
    }

    /// A WebSocket.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::dial(addr).await.upgraded("").await
    }

    /// The same, offering compression.
    pub(crate) async fn open_compressed(addr: SocketAddr) -> Self {
        Self::dial(addr).await.upgraded("Sec-WebSocket-Extensions: permessage-deflate\r\n").await
    }

    /// Shakes hands, with these lines of headers more.
    pub(crate) async fn upgraded(self, headers: &str) -> Self {
        self.upgraded_at("/ws", headers).await
    }

    /// The same at another path.
    pub(crate) async fn upgraded_at(mut self, path: &str, headers: &str) -> Self {
        let handshake = HANDSHAKE.replacen("/ws", path, 1);
        self.write(format!("{handshake}{headers}\r\n").as_bytes()).await;
        let response = self.response().await.expect("a response");
        assert!(response.starts_with("HTTP/1.1 101"), "{response}");
        self
    }

    /// Signed in.
    pub(crate) async fn connect(addr: SocketAddr, token: &str, version: Version) -> Self {
        Self::open(addr).await.connected(token, version).await
    }

    pub(crate) async fn connected(mut self, token: &str, version: Version) -> Self {
        self.say_connect(token, version).await;
        let connected = self.next().await.expect("CONNECTED");
        assert_eq!(connected.frame.command, Command::Connected, "{connected:?}");
        self.version = version;
        self.decoder.set_version(version);
        self
    }

    pub(crate) async fn say_connect(&mut self, token: &str, version: Version) {
        let headers = [("accept-version", version.as_str()), ("host", "test"), ("passcode", token)];
        self.say(Command::Connect, &headers, b"").await;
    }

    /// Sends one STOMP frame, in a text message if it is text.
    pub(crate) async fn say(&mut self, command: Command, headers: &[(&str, &str)], body: &[u8]) {
        let mut out = BytesMut::new();
        encode(&mut out, self.version, command, headers.iter().copied(), body);
        let text = std::str::from_utf8(&out).is_ok();
        self.send(if text { OpCode::Text } else { OpCode::Binary }, &out).await;
    }

    /// Sends one WebSocket frame.
    pub(crate) async fn send(&mut self, opcode: OpCode, payload: &[u8]) {
        self.write(&masked(opcode, payload)).await;
    }

    /// Sends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).await.expect("the socket takes bytes");
    }

    /// Sends bytes, to somebody who may be gone.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(PATIENCE, self.socket.write_all(bytes)).await.expect("bytes are taken in time")
    }

    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str) {
        self.subscribe_with(&[("id", id), ("destination", destination)]).await;
    }

    /// Subscribes and waits until that holds.
    pub(crate) async fn subscribe_with(&mut self, headers: &[(&str, &str)]) {
        let headers: Vec<_> = headers.iter().copied().chain([("receipt", "subscribed")]).collect();
        self.say(Command::Subscribe, &headers, b"").await;
        self.receipt("subscribed").await;
    }

    pub(crate) async fn publish(&mut self, destination: &str, body: &str) {
        self.say(Command::Send, &[("destination", destination)], body.as_bytes()).await;
    }

    /// The next frame, which is of this kind.
    #[track_caller]
    pub(crate) fn expect(&mut self, command: Command) -> impl Future<Output = Incoming> {
        let caller = std::panic::Location::caller();
        async move {
            let incoming =
                self.next().await.unwrap_or_else(|| panic!("gone at {caller}: {:?}", self.farewell));
            assert_eq!(incoming.frame.command, command, "at {caller}: {incoming:?}");
            incoming
        }
    }

    /// The next frame is the RECEIPT of that name.
    #[track_caller]
    pub(crate) fn receipt(&mut self, id: &str) -> impl Future<Output = ()> {
        let receipt = self.expect(Command::Receipt);
        async move { assert_eq!(receipt.await.header("receipt-id"), Some(id)) }
    }

    /// The body of the next frame, a MESSAGE.
    #[track_caller]
    pub(crate) fn body(&mut self) -> impl Future<Output = String> {
        let message = self.expect(Command::Message);
        async move { message.await.body().to_owned() }
    }

    /// Waits for the close frame, whatever comes before it, answers it, and waits for the end.
    pub(crate) async fn farewell(mut self) -> Farewell {
        while let Some(frame) = self.websocket_frame().await {
            let close = frame[0] & 0x0f == OpCode::Close as u8;
            self.take(frame);
            if close {
                // The server may be gone behind its close.
                let _ = self.try_write(&masked(OpCode::Close, &1000_u16.to_be_bytes())).await;
                if matches!(self.farewell.close, Some((1002 | 1007 | 1009, _))) {
                    // The server cannot read on, and so not see the answer.
                    let _ = self.socket.shutdown().await;
                }
            }
        }
        self.farewell.pongs = self.pongs.len();
        let messages = self.incoming.iter().filter(|incoming| incoming.frame.command == Command::Message);
        self.farewell.messages = messages.map(|incoming| incoming.body().to_owned()).collect();
        self.farewell
    }

    /// Closes, and waits for the server to do so too.
    pub(crate) async fn farewell_first(mut self) {
        self.send(OpCode::Close, &1000_u16.to_be_bytes()).await;
        self.farewell().await.assert_code(1000);
    }

    /// Proves that the connection works: what is published on a topic of its own comes back.
    #[track_caller]
    pub(crate) fn works(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let topic = shared::testing::unique("/topic/works");
            self.subscribe("works", &topic).await;
            self.publish(&topic, "it works").await;
            let message =
                self.next().await.unwrap_or_else(|| panic!("gone at {caller}: {:?}", self.farewell));
            assert_eq!(message.body(), "it works", "at {caller}");
            self.say(Command::Unsubscribe, &[("id", "works"), ("receipt", "over")], b"").await;
            self.receipt("over").await;
        }
    }
}

/// A client's frame.
pub(crate) fn masked(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    mask_frame(opcode, payload, MASK, &mut out);
    out
}
