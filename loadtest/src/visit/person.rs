//! One person with a connection.

use std::{
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use stomp::{Command, Version, encode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    task::{JoinHandle, spawn_local},
    time::sleep,
};
use websocket::{Event, HEADER_MAX, Limits, OpCode, Receiver, Role, mask_frame};

use super::Ground;
use crate::{
    fault::FaultKind,
    frames::{RawFrame, Scan, scan},
    plan::KEY,
};

/// Goes with its last owner.
pub(super) struct Person {
    says: mpsc::UnboundedSender<()>,
    life: JoinHandle<()>,
}

impl Person {
    /// Opens the app.
    pub(super) fn arrive(ground: &Rc<Ground>, index: u32) -> Self {
        let (says, said) = mpsc::unbounded_channel();
        let ground = ground.clone();
        let life = spawn_local(async move {
            let began = Instant::now();
            let outcome = match Client::connect(&ground, index).await {
                Ok(client) => client.live(began, said).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                let mut counts = ground.counts.borrow_mut();
                counts.gone += 1;
                counts.faults.add(FaultKind::Closed, || format!("person {index}: {error}"));
            }
        });
        Self { says, life }
    }

    /// Says something in one of their rooms.
    pub(super) fn speak(&self) {
        // Whoever has gone has been counted.
        let _ = self.says.send(());
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.life.abort();
    }
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The list of rooms.
    Inbox,
    /// So many rooms; the moment they were asked for.
    Rooms(u32),
}

struct Client<'a> {
    ground: &'a Ground,
    index: u32,
    socket: TcpStream,
    receiver: Receiver,
    partial: Vec<u8>,
    frame: BytesMut,
    out: Vec<u8>,
    /// Answers that have not come, and since when.
    waits: Option<(Asked, Instant)>,
    is_open: bool,
}

impl<'a> Client<'a> {
    async fn connect(ground: &'a Ground, index: u32) -> io::Result<Self> {
        let target = &ground.targets[index as usize % ground.targets.len()];
        let mut socket = TcpStream::connect(target.address).await?;
        socket.set_nodelay(true)?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n",
            target.path, target.authority
        );
        socket.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // The server says nothing behind its answer before it is spoken to.
        while !head.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut head).await? == 0 {
                return Err(io::Error::other("closed during the upgrade"));
            }
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        let mut client = Self {
            ground,
            index,
            socket,
            receiver: Receiver::new(Role::Client, Limits { message_bytes: usize::MAX }, None),
            partial: Vec::new(),
            frame: BytesMut::new(),
            out: Vec::with_capacity(HEADER_MAX + 256),
            waits: None,
            is_open: false,
        };
        let token = format!("Bearer {}", ground.tokens[index as usize]);
        let host = target.host();
        let headers =
            [("accept-version", "1.2"), ("host", host), ("heart-beat", "0,0"), ("Authorization", &*token)];
        client.say(Command::Connect, &headers, b"").await?;
        Ok(client)
    }

    /// Until the end of it all.
    async fn live(mut self, began: Instant, mut said: mpsc::UnboundedReceiver<()>) -> io::Result<()> {
        let mut buffer = vec![0; 8_192];
        let visits = &self.ground.visits;
        let (stay, away) = (visits.stay, visits.away);
        let mut has_asked = false;
        loop {
            self.hear(&mut buffer).await?;
            if self.is_open && !has_asked {
                has_asked = true;
                if visits.inbox { self.ask_for_inbox(began).await? } else { self.come(began).await? }
            } else if has_asked && self.waits.is_none() {
                break;
            }
        }
        self.ground.counts.borrow_mut().arrived += 1;
        // With a list of rooms alone nobody is in one.
        let mut is_there = !visits.inbox;
        if visits.inbox && !stay.is_zero() {
            self.come(Instant::now()).await?;
            is_there = true;
        }
        let turn = sleep(about(stay));
        tokio::pin!(turn);
        loop {
            tokio::select! {
                heard = self.hear(&mut buffer) => heard?,
                () = &mut turn, if !stay.is_zero() => {
                    if is_there { self.go().await? } else { self.come(Instant::now()).await? }
                    is_there = !is_there;
                    turn.set(sleep(about(if is_there { stay } else { away })));
                }
                word = said.recv() => match word {
                    Some(()) => self.speak().await?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn rooms(&self) -> impl Iterator<Item = (u32, &'a str)> + use<'a> {
        let (ground, each) = (self.ground, self.ground.visits.each);
        let first = self.index as usize * each as usize;
        (0..each).map(move |n| (n, &*ground.rooms[(first + n as usize) % ground.rooms.len()]))
    }

    async fn ask_for_inbox(&mut self, since: Instant) -> io::Result<()> {
        self.waits = Some((Asked::Inbox, since));
        let headers = [("id", "rooms"), ("destination", "/user/queue/rooms"), ("receipt", "rooms")];
        self.say(Command::Subscribe, &headers, b"").await
    }

    async fn come(&mut self, since: Instant) -> io::Result<()> {
        self.waits = Some((Asked::Rooms(self.ground.visits.each), since));
        for (n, room) in self.rooms() {
            let (id, destination) = (n.to_string(), format!("/chat/{room}"));
            let headers = [("id", &*id), ("destination", &*destination), ("receipt", "room")];
            self.say(Command::Subscribe, &headers, b"").await?;
        }
        Ok(())
    }

    async fn go(&mut self) -> io::Result<()> {
        self.ground.counts.borrow_mut().goings += u64::from(self.ground.visits.each);
        for (n, _) in self.rooms() {
            self.say(Command::Unsubscribe, &[("id", &*n.to_string())], b"").await?;
        }
        Ok(())
    }

    async fn speak(&mut self) -> io::Result<()> {
        let Some((_, room)) = self.rooms().nth(fastrand::usize(..self.ground.visits.each as usize)) else {
            return Ok(());
        };
        let destination = format!("/app/chat/{room}");
        let body = format!("{{\"content\":\"{}\"}}", "x".repeat(self.ground.visits.size));
        self.ground.counts.borrow_mut().said += 1;
        self.say(
            Command::Send,
            &[("destination", &*destination), ("content-type", "application/json")],
            body.as_bytes(),
        )
        .await
    }

    async fn say(&mut self, command: Command, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        self.frame.clear();
        encode(&mut self.frame, Version::V12, command, headers.iter().copied(), body);
        self.out.clear();
        mask_frame(OpCode::Text, &self.frame, fastrand::u32(..).to_ne_bytes(), &mut self.out);
        self.socket.write_all(&self.out).await
    }

    /// What comes next, as much as there is.
    async fn hear(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let count = self.socket.read(buffer).await?;
        if count == 0 {
            return Err(io::Error::other("end of stream"));
        }
        let mut input = &mut buffer[..count];
        while !input.is_empty() {
            let (used, event) = self.receiver.receive(input).map_err(io::Error::other)?;
            match event {
                Some(Event::Data { bytes, .. }) => self.partial.extend_from_slice(&bytes),
                Some(Event::Close(frame)) => {
                    let why = frame.map(|frame| frame.reason.into_owned()).unwrap_or_default();
                    return Err(io::Error::other(format!("closed: {why}")));
                }
                _ => {}
            }
            input = &mut input[used..];
        }
        let partial = std::mem::take(&mut self.partial);
        let mut at = 0;
        while at < partial.len() {
            match scan(&partial[at..]) {
                Scan::Frame(frame, used) => {
                    at += used;
                    self.on_frame(&frame, used)?;
                }
                Scan::Incomplete(_) => break,
                Scan::Malformed(why) => return Err(io::Error::other(why)),
            }
        }
        self.partial = partial;
        self.partial.drain(..at);
        Ok(())
    }

    fn on_frame(&mut self, frame: &RawFrame<'_>, bytes: usize) -> io::Result<()> {
        let mut counts = self.ground.counts.borrow_mut();
        counts.bytes += bytes as u64;
        match frame.command {
            b"MESSAGE" => counts.heard(frame.body),
            b"CONNECTED" => self.is_open = true,
            b"RECEIPT" => {
                self.waits = match self.waits.take() {
                    Some((Asked::Rooms(left), since)) if left > 1 => Some((Asked::Rooms(left - 1), since)),
                    Some((asked, since)) => {
                        counts.answered(asked == Asked::Inbox, since.elapsed());
                        None
                    }
                    None => None,
                }
            }
            b"ERROR" => {
                let what = frame.header("message").unwrap_or_default();
                return Err(io::Error::other(String::from_utf8_lossy(what).into_owned()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// From half of it to one and a half: people do not act together.
fn about(time: Duration) -> Duration {
    time.mul_f64(0.5 + fastrand::f64())
}
