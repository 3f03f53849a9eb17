//! A list of rooms, kept as `docs/wire.md` tells clients to.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;
use stomp::{Command, Frame};

use crate::{client::Client, world::Person};

pub(super) struct List {
    pub(super) client: Client,
    pub(super) rooms: BTreeMap<i64, Value>,
}

/// The headers of a subscription to one's rooms.
pub(super) fn subscribe(id: &str) -> [(&str, &str); 3] {
    [("id", id), ("destination", "/user/queue/rooms"), ("receipt", id)]
}

fn body(frame: &Frame) -> Value {
    serde_json::from_slice(&frame.body).expect("JSON")
}

impl List {
    /// Subscribes, and waits until everything is known.
    pub(super) async fn open(addr: SocketAddr, person: &Person) -> Self {
        let mut list = Self::open_now(addr, person).await;
        list.is_known().await;
        list
    }

    /// Subscribes, and has all rooms when the RECEIPT comes.
    pub(super) async fn open_now(addr: SocketAddr, person: &Person) -> Self {
        Self::begin(Client::connect(addr, &person.token).await).await
    }

    /// The same by a client that is there already.
    pub(super) async fn begin(client: Client) -> Self {
        let mut list = Self { client, rooms: BTreeMap::new() };
        list.client.send(Command::Subscribe, &subscribe("rooms"), "").await;
        let mut all = None;
        loop {
            let frame = list.client.next().await.expect("the server goes on");
            if frame.command == Command::Receipt {
                break;
            }
            let body = body(&frame);
            if body["type"] == "rooms" {
                all = body["rooms"].as_u64();
                assert_eq!(all, Some(list.rooms.len() as u64));
            } else {
                list.take(body);
            }
        }
        assert!(all.is_some(), "the client is told that it has them all");
        list
    }

    /// Waits until it is known of each room what is unread.
    pub(super) async fn is_known(&mut self) {
        while self.rooms.values().any(|line| line["unread"].is_null()) {
            let line = self.line().await;
            self.take(body(&line));
        }
    }

    fn take(&mut self, body: Value) {
        let room = body["room"].as_i64();
        match body["type"].as_str() {
            Some("room") => drop(self.rooms.insert(room.expect("a room"), body)),
            Some("gone") => drop(self.rooms.remove(&room.expect("a room"))),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn total(&self) -> i64 {
        self.rooms.values().filter_map(|line| line["unread"].as_i64()).sum()
    }

    /// Waits until the line of a room is as wanted.
    #[track_caller]
    pub(super) fn expect(&mut self, room: i64, wanted: impl Fn(&Value) -> bool) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            while !self.rooms.get(&room).is_some_and(&wanted) {
                let frame = tokio::time::timeout(crate::client::PATIENCE, self.line());
                let Ok(frame) = frame.await else {
                    panic!("{caller}: {:?}", self.rooms.get(&room));
                };
                self.take(body(&frame));
            }
        }
    }

    /// The same on one of several subscriptions, whatever the others say.
    pub(super) async fn expect_on(&mut self, id: &str, room: i64, wanted: impl Fn(&Value) -> bool) {
        let is_it = |frame: &Frame| {
            frame.headers.first("subscription").is_some_and(|of| of == id)
                && body(frame)["room"] == room
                && wanted(&body(frame))
        };
        self.client.try_expect(is_it).await.expect("the server goes on");
    }

    /// The next room that is gone, and why.
    pub(super) async fn expect_gone(&mut self) -> (i64, String) {
        loop {
            let body = body(&self.line().await);
            self.take(body.clone());
            if body["type"] == "gone" {
                return (body["room"].as_i64().unwrap(), body["reason"].as_str().unwrap().to_owned());
            }
        }
    }

    async fn line(&mut self) -> Frame {
        let is_line = |frame: &Frame| frame.headers.first("subscription").is_some_and(|id| id == "rooms");
        self.client.try_expect(is_line).await.expect("the server goes on")
    }
}
