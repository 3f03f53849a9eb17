//! One client: upgrade, CONNECT, SUBSCRIBE, then whatever comes.

use std::{
    io::{self, ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use mio::net::TcpStream;
use websocket::{Event, Limits, OpCode, Receiver, Role, mask_frame};

use super::desk::Desk;
use crate::{
    check::Follower,
    fault::FaultKind,
    frames::{RawFrame, Scan, scan},
    options::heart_beat,
    plan::ACCEPT,
};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sends, and every delivery to it is checked.
    Member,
    /// Subscribes and never reads.
    Slow,
    /// Subscribes and goes.
    Churn,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The TCP connection is being made.
    Connecting,
    /// Waiting for the upgrade.
    Upgrading,
    /// Waiting for CONNECTED.
    Opening,
    /// Waiting for the RECEIPT of SUBSCRIBE.
    Subscribing,
    /// Subscribed.
    Ready,
    /// DISCONNECT is sent.
    Leaving,
}

/// Why a connection is over.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// What that is, if it was not wanted.
    pub(super) fault: FaultKind,
    /// In words.
    pub(super) why: String,
}

impl Ended {
    pub(super) fn new(fault: FaultKind, why: impl Into<String>) -> Self {
        Self { fault, why: why.into() }
    }
}

/// Its intervals, when there are any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beats {
    pub(super) send: Option<Duration>,
    pub(super) expect: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    /// Its number among all.
    pub(super) index: u32,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) follower: Follower,
    pub(super) begun: Instant,
    /// When something last came.
    pub(super) heard: Instant,
    pub(super) beats: Beats,
    receiver: Receiver,
    /// What of the response, or of a STOMP frame, has come.
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, index: u32, kind: Kind, follower: Follower, now: Instant) -> Self {
        // No message is assembled here, so a limit would protect nothing.
        let limits = Limits { message_bytes: usize::MAX };
        Self {
            socket,
            index,
            kind,
            stage: Stage::Connecting,
            follower,
            begun: now,
            heard: now,
            beats: Beats::default(),
            receiver: Receiver::new(Role::Client, limits, None),
            partial: Vec::new(),
            unsent: Vec::new(),
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// The socket takes bytes: it is connected, or there is room for what was left.
    pub(super) fn on_writable(&mut self, desk: &mut Desk) -> Result<(), Ended> {
        if self.stage == Stage::Connecting {
            if let Some(error) = self.socket.take_error().ok().flatten() {
                return Err(Ended::new(FaultKind::NotConnected, error.to_string()));
            }
            self.stage = Stage::Upgrading;
            return self.write(&desk.plan.upgrade_request(self.index));
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.write(&unsent)
    }

    /// Reads all there is.
    pub(super) fn on_readable(&mut self, desk: &mut Desk, buffer: &mut [u8]) -> Result<(), Ended> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(Ended::new(FaultKind::Closed, "end of stream without a close frame")),
                Ok(count) => {
                    self.heard = Instant::now();
                    self.receive(&mut buffer[..count], desk)?;
                    // Edge-triggered: a read that is not filled has emptied the socket (epoll(7)). The end of
                    // the stream is an event of its own.
                    if count < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Ended::new(FaultKind::Closed, error.to_string())),
            }
        }
    }

    fn receive(&mut self, input: &mut [u8], desk: &mut Desk) -> Result<(), Ended> {
        if self.stage == Stage::Upgrading {
            return self.receive_upgrade(input, desk);
        }
        let mut at = 0;
        while at < input.len() {
            let (used, event) = self
                .receiver
                .receive(&mut input[at..])
                .map_err(|violation| Ended::new(FaultKind::Malformed, violation.to_string()))?;
            at += used;
            match event {
                Some(Event::Data { bytes, .. }) => self.receive_stomp(&bytes, desk)?,
                Some(Event::Ping(payload)) => self.write_frame(OpCode::Pong, &payload)?,
                Some(Event::Close(frame)) => {
                    let why = match frame {
                        Some(frame) => format!("close frame {}: {}", frame.code, frame.reason),
                        None => "close frame without a code".to_owned(),
                    };
                    // Courtesy only: it is over.
                    let _ = self.write_frame(OpCode::Close, &[]);
                    return Err(Ended::new(FaultKind::Closed, why));
                }
                Some(Event::Pong(_)) | None => {}
            }
        }
        Ok(())
    }

    fn receive_upgrade(&mut self, input: &mut [u8], desk: &mut Desk) -> Result<(), Ended> {
        self.partial.extend_from_slice(input);
        let Some(end) = memchr::memmem::find(&self.partial, b"\r\n\r\n") else { return Ok(()) };
        let mut response = std::mem::take(&mut self.partial);
        let head = String::from_utf8_lossy(&response[..end]);
        let status = head.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) != Some("101") || !head.contains(ACCEPT) {
            let excerpt: String = String::from_utf8_lossy(&response).chars().take(300).collect();
            return Err(Ended::new(FaultKind::NotConnected, format!("no upgrade: {excerpt:?}")));
        }
        self.stage = Stage::Opening;
        desk.plan.connect(self.index, &mut desk.scratch.frame);
        self.write_frame(OpCode::Text, &desk.scratch.frame)?;
        self.receive(&mut response[end + 4..], desk)
    }

    fn receive_stomp(&mut self, bytes: &[u8], desk: &mut Desk) -> Result<(), Ended> {
        if self.partial.is_empty() {
            let used = self.take_frames(bytes, desk)?;
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let used = self.take_frames(&partial, desk)?;
            if used < partial.len() {
                partial.drain(..used);
                self.partial = partial;
            }
        }
        Ok(())
    }

    /// How many bytes of whole frames there were.
    fn take_frames(&mut self, bytes: &[u8], desk: &mut Desk) -> Result<usize, Ended> {
        let mut used = 0;
        while used < bytes.len() {
            match scan(&bytes[used..]) {
                Scan::Frame(frame, length) => {
                    used += length;
                    self.on_frame(&frame, desk)?;
                }
                Scan::Incomplete(line_ends) => return Ok(used + line_ends),
                Scan::Malformed(why) => return Err(Ended::new(FaultKind::Malformed, why)),
            }
        }
        Ok(used)
    }

    fn on_frame(&mut self, frame: &RawFrame<'_>, desk: &mut Desk) -> Result<(), Ended> {
        match (frame.command, self.stage) {
            (b"MESSAGE", _) if self.kind == Kind::Member => {
                desk.on_message(self.index, &mut self.follower, frame.body, self.heard);
            }
            (b"CONNECTED", Stage::Opening) => {
                let beats = frame.header("heart-beat").and_then(|value| std::str::from_utf8(value).ok());
                if let Some(theirs) = beats.and_then(|value| heart_beat(value).ok()) {
                    let (send, expect) = desk.plan.scenario.heart_beat.agree(theirs);
                    self.beats = Beats { send, expect };
                }
                desk.plan.subscribe(self.index, &mut desk.scratch.frame);
                self.write_frame(OpCode::Text, &desk.scratch.frame)?;
                let receipts = !desk.plan.scenario.no_receipts;
                self.stage = if receipts { Stage::Subscribing } else { Stage::Ready };
            }
            (b"RECEIPT", Stage::Subscribing) => self.stage = Stage::Ready,
            (b"RECEIPT", Stage::Leaving) => self.write_frame(OpCode::Close, &1_000_u16.to_be_bytes())?,
            (b"ERROR", _) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let message = text(frame.header("message").unwrap_or_default());
                let why = format!("ERROR {message:?}: {:?}", text(frame.body));
                return Err(Ended::new(FaultKind::Error, why));
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends the message whose frame is in the scratch memory.
    pub(super) fn send(&mut self, frame: &BytesMut) -> Result<(), Ended> {
        self.write_frame(OpCode::Text, frame)
    }

    pub(super) fn beat(&mut self) -> Result<(), Ended> {
        self.write_frame(OpCode::Text, b"\n")
    }

    pub(super) fn leave(&mut self, desk: &mut Desk) -> Result<(), Ended> {
        self.stage = Stage::Leaving;
        desk.plan.disconnect(&mut desk.scratch.frame);
        self.write_frame(OpCode::Text, &desk.scratch.frame)?;
        if desk.plan.scenario.no_receipts {
            self.write_frame(OpCode::Close, &1_000_u16.to_be_bytes())?;
        }
        Ok(())
    }

    /// Says that it goes, and goes.
    pub(super) fn close(&mut self) {
        // Nobody is interested in a failure to say good-bye.
        let _ = self.write_frame(OpCode::Close, &1_000_u16.to_be_bytes());
    }

    fn write_frame(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), Ended> {
        let mut frame = Vec::with_capacity(websocket::HEADER_MAX + payload.len());
        mask_frame(opcode, payload, fastrand::u32(..).to_ne_bytes(), &mut frame);
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let mut written = 0;
        while written < bytes.len() {
            match self.socket.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.broken(&error),
            }
        }
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// A broken connection may still hold what says why: reading finds out.
    fn broken(&self, error: &io::Error) -> Result<(), Ended> {
        if self.stage == Stage::Upgrading || error.kind() == ErrorKind::WriteZero {
            return Err(Ended::new(FaultKind::Closed, error.to_string()));
        }
        Ok(())
    }
}
