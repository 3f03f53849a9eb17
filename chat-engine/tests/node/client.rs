//! A STOMP client that says what it expects.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use stomp::{Command, Decoder, Frame, Limits, Version, encode};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _, http::HeaderValue},
};

pub(crate) use shared::testing::PATIENCE;

pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder,
    /// Frames that came while another was expected.
    early: VecDeque<Frame>,
    /// The unread count of each message, kept as a client keeps it.
    counts: BTreeMap<i64, i64>,
    /// What it follows. Who follows a room twice gets every change twice, and a client would count for each by itself.
    followed: Vec<String>,
    /// How often it was told to replace all counts.
    resets: usize,
}

/// What a message shows until its count is told.
pub(crate) const UNCOUNTED: i64 = -1;

/// A message as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) seq: i64,
    pub(crate) unread: i64,
    pub(crate) content: String,
}

impl Client {
    /// A WebSocket that has not said CONNECT.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::open_from(addr, None).await.expect("the handshake works")
    }

    pub(crate) async fn open_from(addr: SocketAddr, origin: Option<&str>) -> tungstenite::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{addr}/ws").into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("v12.stomp"));
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", HeaderValue::from_str(origin)?);
        }
        let (socket, _) = client_async(request, stream).await?;
        let decoder = Decoder::new(Limits { frame_bytes: 1 << 20, ..Limits::default() });
        Ok(Self {
            socket,
            decoder,
            early: VecDeque::new(),
            counts: BTreeMap::new(),
            followed: Vec::new(),
            resets: 0,
        })
    }

    /// Connected with an access token.
    pub(crate) async fn connect(addr: SocketAddr, token: &str) -> Self {
        let mut client = Self::open(addr).await;
        client.say_connect(token).await;
        client.expect(Command::Connected).await;
        client
    }

    pub(crate) async fn say_connect(&mut self, token: &str) {
        let bearer = format!("Bearer {token}");
        let headers = [("accept-version", "1.2"), ("host", "test"), ("Authorization", &*bearer)];
        self.send(Command::Connect, &headers, "").await;
    }

    pub(crate) async fn send(&mut self, command: Command, headers: &[(&str, &str)], body: &str) {
        self.try_send(command, headers, body).await.expect("the socket takes a frame");
    }

    /// Sends a frame; `None` when the server is gone.
    pub(crate) async fn try_send(
        &mut self,
        command: Command,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<()> {
        let destination = headers.iter().find(|(name, _)| *name == "destination");
        self.followed
            .extend(destination.filter(|_| command == Command::Subscribe).map(|(_, to)| (*to).to_owned()));
        let mut out = BytesMut::new();
        encode(&mut out, Version::V12, command, headers.iter().copied(), body.as_bytes());
        let text = String::from_utf8(out.to_vec()).expect("frames are text");
        self.socket.send(Message::text(text)).await.ok()
    }

    pub(crate) async fn send_raw(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("the socket takes a frame");
    }

    /// Follows `/chat/{room}` under the id `chat` and waits until it has been added.
    pub(crate) async fn follow(&mut self, room: i64) {
        self.follow_with_history(room, 0).await;
    }

    pub(crate) async fn follow_with_history(&mut self, room: i64, history: u16) {
        self.subscribe("chat", &format!("/chat/{room}"), history).await;
    }

    /// Follows `/chatalarm/{room}`, which is not reading, and waits until it has been added.
    pub(crate) async fn listen(&mut self, room: i64, history: u16) {
        self.subscribe(&format!("alarm-{room}"), &format!("/chatalarm/{room}"), history).await;
    }

    async fn subscribe(&mut self, id: &str, destination: &str, history: u16) {
        let history = history.to_string();
        let headers =
            [("id", id), ("destination", destination), ("history", &*history), ("receipt", "follow")];
        self.send(Command::Subscribe, &headers, "").await;
        self.expect_receipt("follow").await;
    }

    /// Posts and waits until it is durable: its seq.
    pub(crate) async fn post(&mut self, room: i64, content: &str) -> i64 {
        self.post_only(room, content, "post").await;
        let receipt = self.expect_receipt("post").await;
        receipt.headers.first("seq").expect("a SEND's receipt has a seq").parse().expect("a number")
    }

    /// Posts and waits for the receipt; `None` when the node is gone.
    pub(crate) async fn try_post(&mut self, room: i64, content: &str) -> Option<i64> {
        let destination = format!("/app/chat/{room}");
        let body = serde_json::json!({ "content": content }).to_string();
        self.try_send(Command::Send, &[("destination", &destination), ("receipt", content)], &body).await?;
        let receipt = self.try_expect(|frame| frame.command == Command::Receipt).await?;
        Some(receipt.headers.first("seq").unwrap().parse().unwrap())
    }

    /// Posts under a receipt that somebody else waits for.
    pub(crate) async fn post_only(&mut self, room: i64, content: &str, receipt: &str) {
        let destination = format!("/app/chat/{room}");
        let body = serde_json::json!({ "content": content }).to_string();
        self.send(Command::Send, &[("destination", &destination), ("receipt", receipt)], &body).await;
    }

    /// The next frame, whatever it is; `None` when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        match self.early.pop_front() {
            Some(frame) => Some(frame),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode().expect("the server speaks STOMP") {
                self.count(&frame);
                return Some(frame);
            }
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => self.decoder.push(text.as_bytes()),
                Some(Ok(Message::Binary(bytes))) => self.decoder.push(&bytes),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next frame of that kind; others are kept.
    pub(crate) async fn expect(&mut self, command: Command) -> Frame {
        self.expect_that(|frame| frame.command == command).await
    }

    pub(crate) async fn expect_receipt(&mut self, id: &str) -> Frame {
        let is_it = |frame: &Frame| frame.headers.first("receipt-id").is_some_and(|receipt| receipt == id);
        let frame = self.expect_that(is_it).await;
        assert_eq!(frame.command, Command::Receipt, "{frame:?}");
        frame
    }

    async fn expect_that(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        match self.try_expect(wanted).await {
            Some(frame) => frame,
            None => panic!("the server is gone behind {:?}", self.early.back()),
        }
    }

    /// The next frame that is wanted, the others being kept; `None` when the server is gone.
    pub(crate) async fn try_expect(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        if let Some(frame) = self.take_early(&wanted) {
            return Some(frame);
        }
        loop {
            let frame = self.receive().await?;
            if wanted(&frame) {
                return Some(frame);
            }
            self.early.push_back(frame);
        }
    }

    /// The first frame that is wanted of those that came while others were expected.
    pub(crate) fn take_early(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let at = self.early.iter().position(wanted)?;
        self.early.remove(at)
    }

    /// The next MESSAGE of a message, not of an event.
    pub(crate) async fn expect_shown(&mut self) -> Shown {
        let frame = self.expect_that(|frame| frame.headers.first("unread").is_some()).await;
        Shown::of(&frame)
    }

    /// The body of the next event of that type.
    pub(crate) async fn expect_event(&mut self, kind: &str) -> Value {
        let is_it = |frame: &Frame| {
            frame.command == Command::Message
                && serde_json::from_slice::<Value>(&frame.body).expect("JSON")["type"] == kind
        };
        serde_json::from_slice(&self.expect_that(is_it).await.body).expect("JSON")
    }

    /// What `docs` tell every client to do with a frame, to show counts right.
    fn count(&mut self, frame: &Frame) {
        let header = |name| frame.headers.first(name).map(|value| value.parse().expect("a number"));
        if let (Some(seq), Some(unread)) = (header("seq"), header("unread")) {
            self.counts.insert(seq, unread);
        } else if let Some(seq) = header("seq").filter(|_| is_message(&frame.body)) {
            self.counts.insert(seq, UNCOUNTED);
        }
        let is_json = frame.headers.first("content-type").is_some_and(|kind| kind == "application/json");
        if frame.command != Command::Message || header("seq").is_some() || !is_json {
            return;
        }
        let body: Value = serde_json::from_slice(&frame.body).expect("JSON");
        let from = frame.headers.first("destination");
        let once =
            self.followed.iter().filter(|followed| from.is_some_and(|from| **from == ***followed)).count()
                < 2;
        for change in body["changes"].as_array().into_iter().flatten() {
            let number = |key: &str| change[key].as_i64().expect("a number");
            for (seq, unread) in self.counts.range_mut(number("from") + 1..=number("to")) {
                let before = *unread;
                *unread += number("by");
                assert!(!once || before == UNCOUNTED || *unread >= 0, "{seq} shows {unread} by {change}");
            }
        }
        self.resets += usize::from(body["reset"].is_array());
        for step in body["reset"].as_array().into_iter().flatten() {
            let (above, count) = (step[0].as_i64().expect("a seq"), step[1].as_i64().expect("a count"));
            for (_, unread) in self.counts.range_mut(above + 1..) {
                *unread = count;
            }
        }
    }

    /// The unread count of each message, as this client shows it.
    pub(crate) fn counts(&self) -> &BTreeMap<i64, i64> {
        &self.counts
    }

    /// How often it was told to replace all counts.
    pub(crate) fn resets(&self) -> usize {
        self.resets
    }

    /// Takes everything that comes until nothing has come for a while: three times as long as changes of counts
    /// are collected.
    pub(crate) async fn drain(&mut self) {
        while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_millis(300), self.receive()).await {
            self.early.push_back(frame);
        }
    }

    /// Shows what another connection of the same person showed.
    pub(crate) fn show(&mut self, counts: &BTreeMap<i64, i64>) {
        self.counts.extend(counts);
    }

    /// Waits until the message at `seq` is shown with that count.
    pub(crate) async fn expect_count(&mut self, seq: i64, unread: i64) {
        while self.counts.get(&seq) != Some(&unread) {
            let waited = self.receive();
            let frame =
                waited.await.unwrap_or_else(|| panic!("{seq} never shows {unread}: {:?}", self.counts));
            self.early.push_back(frame);
        }
    }

    /// The ERROR that comes next, before which nothing but the close may come.
    pub(crate) async fn expect_only_error(mut self) -> (String, String) {
        let frame = self.next().await.expect("an ERROR");
        assert_eq!(frame.command, Command::Error, "{frame:?}");
        assert_eq!(self.next().await, None, "the server closes behind an ERROR");
        let message = frame.headers.first("message").expect("an ERROR has a message").to_string();
        (message, String::from_utf8(frame.body.to_vec()).expect("text"))
    }

    /// Closes the WebSocket; whether the server did so too.
    #[allow(dead_code, reason = "not every test that has a client closes it")]
    pub(crate) async fn close(mut self) -> bool {
        self.socket.close(None).await.expect("the socket takes a close");
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("an answer in time");
            match message {
                Some(Ok(Message::Close(_))) => return true,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return false,
            }
        }
    }

    /// Leaves politely: every SEND before it has its outcome.
    pub(crate) async fn disconnect(mut self) {
        self.send(Command::Disconnect, &[("receipt", "bye")], "").await;
        self.expect_receipt("bye").await;
    }
}

/// Whether a record's body is a message's.
fn is_message(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["type"] == "message")
}

impl Shown {
    pub(crate) fn of(frame: &Frame) -> Self {
        let number = |header| frame.headers.first(header).expect("a header").parse().expect("a number");
        let body: Value = serde_json::from_slice(&frame.body).expect("JSON");
        let content = body["content"].as_str().expect("a content").to_owned();
        Self { seq: number("seq"), unread: number("unread"), content }
    }
}
