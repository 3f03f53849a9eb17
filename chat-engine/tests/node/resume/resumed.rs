//! Resuming, and what comes of it.

use std::net::SocketAddr;

use serde_json::Value;
use stomp::{Command, Frame};

use crate::{
    client::Client,
    world::{Person, World},
};

/// What came of a resume, up to its RECEIPT.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    pub(crate) records: Vec<(i64, Value)>,
    pub(crate) recovered: Option<bool>,
    /// What kind of frame came, in order: `history`, `live`, `reset`, `recovered`.
    pub(super) order: Vec<&'static str>,
}

impl Resumed {
    pub(crate) fn seqs(&self) -> Vec<i64> {
        self.records.iter().map(|(seq, _)| *seq).collect()
    }

    pub(super) fn types(&self) -> Vec<&str> {
        self.records.iter().map(|(_, body)| body["type"].as_str().unwrap()).collect()
    }

    pub(super) fn take(&mut self, frame: &Frame) {
        assert_eq!(frame.command, Command::Message, "{frame:?}");
        let body: Value = serde_json::from_slice(&frame.body).unwrap();
        if let Some(seq) = frame.headers.first("seq") {
            let history = frame.headers.first("history").is_some();
            self.order.push(if history { "history" } else { "live" });
            self.records.push((seq.parse().unwrap(), body));
        } else if let Some(recovered) = body["recovered"].as_bool() {
            assert_eq!(self.recovered.replace(recovered), None, "told twice");
            self.order.push("recovered");
        } else if body["reset"].is_array() {
            self.order.push("reset");
        }
    }
}

impl Client {
    /// Follows a room from behind `after`.
    pub(crate) async fn resume(&mut self, room: i64, after: i64, history: u16) -> Resumed {
        self.ask_to_resume("chat", room, after, history).await;
        let mut resumed = Resumed::default();
        loop {
            let frame = self.next().await.expect("the server goes on");
            match frame.command {
                Command::Receipt => return resumed,
                _ => resumed.take(&frame),
            }
        }
    }

    pub(super) async fn ask_to_resume(&mut self, id: &str, room: i64, after: i64, history: u16) {
        let (destination, after, history) = (format!("/chat/{room}"), after.to_string(), history.to_string());
        let headers = [
            ("id", id),
            ("destination", &*destination),
            ("after", &*after),
            ("history", &*history),
            ("receipt", id),
        ];
        self.send(Command::Subscribe, &headers, "").await;
    }
}

impl World {
    /// The node that is not a person's, if there are two.
    pub(super) fn other_addr(&self, person: &Person) -> SocketAddr {
        let own = self.addr_for(person);
        self.addrs().take(2).find(|addr| *addr != own).unwrap_or(own)
    }

    /// Connected to the other node, if there are two, once that has seen a place in a room.
    pub(crate) async fn connect_elsewhere(&self, person: &Person, room: i64, seen: i64) -> Client {
        let other = self.other_addr(person);
        // A subscription from there on waits for it, and this kind is not reading.
        let mut probe = Client::connect(other, &person.token).await;
        let (destination, after) = (format!("/chatalarm/{room}"), seen.to_string());
        let headers = [("id", "p"), ("destination", &*destination), ("after", &*after), ("receipt", "p")];
        probe.send(Command::Subscribe, &headers, "").await;
        probe.expect_receipt("p").await;
        probe.disconnect().await;
        Client::connect(other, &person.token).await
    }
}
