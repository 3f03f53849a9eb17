//! A scenario made ready: files read, names resolved, and every frame a client sends.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, ensure};
use bytes::BytesMut;
use stomp::{Command, Version, encode};

use crate::{
    mark::{Mark, Marker},
    options::{Scenario, Server, Target},
    template::{HeaderTemplate, Values},
};

/// The key of RFC 6455's example: a load generator has no use for a fresh one, and knows its answer.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server answers to [`KEY`] (RFC 6455 §1.3).
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    targets: Vec<Target>,
    pub(crate) marker: Marker,
    pub(crate) started: Instant,
    version: Version,
    rooms: Vec<String>,
    tokens: Vec<String>,
}

impl Plan {
    pub(crate) fn new(scenario: &Scenario, server: &Server) -> anyhow::Result<Self> {
        ensure!(scenario.rooms > 0, "there must be a room");
        ensure!(scenario.threads > 0, "there must be a thread");
        ensure!(scenario.body.has_text(), "the body must hold {{text}}, or nothing can be checked");
        ensure!(scenario.size >= Marker::MIN_SIZE, "--size must be at least {}", Marker::MIN_SIZE);
        let rooms = match &scenario.room_names {
            Some(file) => lines(file)?,
            None => (0..scenario.rooms).map(|room| room.to_string()).collect(),
        };
        ensure!(rooms.len() >= scenario.rooms as usize, "only {} rooms have names", rooms.len());
        ensure!(!server.urls.is_empty(), "there must be a --url");
        let version = Version::ALL.into_iter().find(|version| version.as_str() == scenario.stomp_version);
        Ok(Self {
            targets: server.urls.iter().map(|url| Target::resolve(url)).collect::<Result<_, _>>()?,
            marker: Marker::new(fastrand::u32(..), scenario.size),
            started: Instant::now(),
            version: version.context("no such version of STOMP")?,
            rooms,
            tokens: scenario.tokens.as_deref().map(lines).transpose()?.unwrap_or_default(),
            scenario: scenario.clone(),
        })
    }

    /// Where a connection goes: those of one room take the nodes in turn.
    pub(crate) fn target(&self, conn: u32) -> &Target {
        &self.targets[(conn / self.scenario.rooms) as usize % self.targets.len()]
    }

    fn values(&self, conn: u32) -> Values<'_> {
        let token = self.tokens.get(conn as usize % self.tokens.len().max(1));
        Values {
            room: &self.rooms[(conn % self.scenario.rooms) as usize],
            conn: conn as usize,
            token: token.map_or("", |token| token),
            seq: 0,
            text: "",
        }
    }

    pub(crate) fn upgrade_request(&self, conn: u32) -> Vec<u8> {
        let Target { authority, path, .. } = self.target(conn);
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        let sub_protocol = &self.scenario.sub_protocol;
        if sub_protocol != "none" {
            request.extend(["Sec-WebSocket-Protocol: ", sub_protocol, "\r\n"]);
        }
        for HeaderTemplate { name, value } in &self.scenario.http_headers {
            request.extend([name, ": ", &*value.expand(self.values(conn)), "\r\n"]);
        }
        request.push_str("\r\n");
        request.into_bytes()
    }

    fn frame(
        &self,
        command: Command,
        first: &[(&str, &str)],
        templates: &[HeaderTemplate],
        values: Values<'_>,
        body: &[u8],
        out: &mut BytesMut,
    ) {
        let given: Vec<_> =
            templates.iter().map(|header| (&*header.name, header.value.expand(values))).collect();
        let given = given.iter().map(|(name, value)| (*name, &**value));
        out.clear();
        encode(out, self.version, command, first.iter().copied().chain(given), body);
    }

    pub(crate) fn connect(&self, conn: u32, out: &mut BytesMut) {
        let scenario = &self.scenario;
        let beats = format!("{},{}", scenario.heart_beat.sends, scenario.heart_beat.wants);
        let host = scenario.host.as_deref().unwrap_or_else(|| self.target(conn).host());
        let first = [("accept-version", &*scenario.stomp_version), ("host", host), ("heart-beat", &*beats)];
        self.frame(Command::Connect, &first, &scenario.connect_headers, self.values(conn), &[], out);
    }

    pub(crate) fn subscribe(&self, conn: u32, out: &mut BytesMut) {
        let destination = self.scenario.subscribe.expand(self.values(conn));
        let first = [("id", "0"), ("destination", &*destination), ("receipt", "subscribed")];
        let first = &first[..if self.scenario.no_receipts { 2 } else { 3 }];
        let headers = &self.scenario.subscribe_headers;
        self.frame(Command::Subscribe, first, headers, self.values(conn), &[], out);
    }

    pub(crate) fn send(&self, mark: Mark, scratch: &mut Scratch) {
        let Scratch { text, expanded, frame } = scratch;
        self.marker.write(mark, text);
        let values = Values { seq: mark.number, text, ..self.values(mark.sender) };
        self.scenario.body.expand_into(values, expanded);
        let destination = self.scenario.send.expand(values);
        let first = [("destination", &*destination)];
        let headers = &self.scenario.send_headers;
        self.frame(Command::Send, &first, headers, values, expanded.as_bytes(), frame);
    }

    pub(crate) fn disconnect(&self, out: &mut BytesMut) {
        let first = &[("receipt", "disconnected")][..usize::from(!self.scenario.no_receipts)];
        self.frame(Command::Disconnect, first, &[], Values::default(), &[], out);
    }

    /// How the room is named on the wire.
    pub(crate) fn room_name(&self, room: u32) -> &str {
        &self.rooms[room as usize]
    }
}

/// Memory for making frames.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    text: String,
    expanded: String,
    pub(crate) frame: BytesMut,
}

pub(crate) fn lines(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(!lines.is_empty(), "{} is empty", file.display());
    Ok(lines)
}
