//! A naive STOMP client: says what a case writes down, and reads with its own parser.

use std::{collections::VecDeque, net::SocketAddr};

use crate::{
    frame::{self, Frame, Item},
    requirements::Version,
    websocket::{self, Received, WebSocket},
};

pub(crate) struct Client {
    pub(crate) socket: WebSocket,
    /// Known from CONNECTED on.
    version: Option<Version>,
    input: Vec<u8>,
    /// Whether the last message was a text.
    pub(crate) last_was_text: bool,
    /// Frames that came while another was waited for.
    early: VecDeque<Frame>,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Item(Item),
    Close(Option<u16>),
    End,
}

impl Client {
    /// A WebSocket with a version's sub-protocol, or without.
    pub(crate) fn open(addr: SocketAddr, version: Option<Version>) -> Self {
        let header = version.map(|version| format!("Sec-WebSocket-Protocol: {}\r\n", version.subprotocol()));
        let (socket, response) = WebSocket::ask(addr, &header.unwrap_or_default());
        assert_eq!(response.status, 101, "{response:?}");
        Self::on(socket)
    }

    pub(crate) fn on(socket: WebSocket) -> Self {
        Self { socket, version: None, input: Vec::new(), last_was_text: false, early: VecDeque::new() }
    }

    /// Sends a text message; `^@` stands for NUL, as in the specifications.
    pub(crate) fn say(&mut self, text: &str) {
        self.socket.send(websocket::TEXT, true, text.replace("^@", "\0").as_bytes());
    }

    /// Sends a binary message.
    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.socket.send(websocket::BINARY, true, bytes);
    }

    /// Whatever comes next, heart-beats too.
    pub(crate) fn next(&mut self) -> Next {
        loop {
            if let Some(item) = frame::take(&mut self.input, self.version) {
                if let Item::Frame(frame) = &item
                    && frame.command == "CONNECTED"
                {
                    let version = frame.header("version").map_or(Some(Version::V10), Version::named);
                    self.version = Some(version.unwrap_or_else(|| panic!("which version? {frame:?}")));
                }
                return Next::Item(item);
            }
            match self.socket.receive() {
                Received::Message { opcode, payload } => {
                    self.last_was_text = opcode == websocket::TEXT;
                    self.input.extend(payload);
                }
                Received::Pong(_) => {}
                Received::Close(code) => return Next::Close(code),
                Received::End => return Next::End,
            }
        }
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        if let Some(frame) = self.early.pop_front() {
            return frame;
        }
        self.receive_frame()
    }

    fn receive_frame(&mut self) -> Frame {
        loop {
            match self.next() {
                Next::Item(Item::Frame(frame)) => return frame,
                Next::Item(Item::LineEnd) => {}
                ended => panic!("the server ended it: {ended:?}"),
            }
        }
    }

    /// The next frame, which is of that kind.
    pub(crate) fn expect(&mut self, command: &str) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.command, command, "{frame:?}");
        frame
    }

    /// The next MESSAGE; a RECEIPT may come before it.
    pub(crate) fn message(&mut self) -> Frame {
        self.wait_for(|frame| frame.command == "MESSAGE")
    }

    /// The next RECEIPT with that id; a MESSAGE may come before it.
    pub(crate) fn receipt(&mut self, id: &str) -> Frame {
        self.wait_for(|frame| frame.command == "RECEIPT" && frame.needs("receipt-id") == id)
    }

    /// The first such frame, the others being kept. Neither ERROR nor the end may come before it.
    fn wait_for(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        if let Some(at) = self.early.iter().position(&wanted) {
            return self.early.remove(at).expect("it is there");
        }
        loop {
            let frame = self.receive_frame();
            if wanted(&frame) {
                return frame;
            }
            assert_ne!(frame.command, "ERROR", "{frame:?}");
            self.early.push_back(frame);
        }
    }

    /// The ERROR that comes next, behind which the server closes.
    pub(crate) fn error(&mut self) -> Frame {
        let error = self.expect("ERROR");
        self.closed();
        error
    }

    /// The server closes, and says nothing more.
    pub(crate) fn closed(&mut self) -> Option<u16> {
        let mut code = None;
        loop {
            match self.next() {
                Next::Item(Item::LineEnd) => {}
                Next::Item(Item::Frame(frame)) => panic!("a frame where a close should be: {frame:?}"),
                Next::Close(given) => code = given,
                Next::End => return code,
            }
        }
    }

    /// Says a frame that asks for the receipt `done`, and waits for it.
    pub(crate) fn say_and_wait(&mut self, text: &str) -> Frame {
        assert!(text.contains("receipt:done\n"), "it asks for its receipt: {text:?}");
        self.say(text);
        self.receipt("done")
    }

    /// Subscribes under an id, with more headers (each ended by a newline), and waits until it stands.
    pub(crate) fn subscribe(&mut self, id: &str, destination: &str, headers: &str) {
        self.say_and_wait(&format!(
            "SUBSCRIBE\nid:{id}\ndestination:{destination}\n{headers}receipt:done\n\n^@"
        ));
    }

    /// Sends a text and waits until it is done.
    pub(crate) fn send(&mut self, destination: &str, body: &str) {
        self.say_and_wait(&format!("SEND\ndestination:{destination}\nreceipt:done\n\n{body}^@"));
    }
}
