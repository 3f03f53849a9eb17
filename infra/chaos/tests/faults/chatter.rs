//! Somebody in a test, who does what they are told and notes what comes.

use std::{collections::BTreeMap, time::Duration};

use chaos::{
    cluster::{Cluster, Engine},
    person::{Acknowledged, Ask, Report},
    view::{Seen, View},
    wire::{Connection, Ended, Frame},
    world::Account,
};
use serde_json::Value;
use tokio::time::timeout;

/// More than the engine's own waiting, on the busiest machine.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Chatter {
    account: Account,
    room: i64,
    connection: Option<Connection>,
    view: View,
    acknowledged: Vec<Acknowledged>,
    /// How many members have not read each message, as the page on the wire says it is shown.
    unread: BTreeMap<i64, i64>,
    said: u64,
}

impl Chatter {
    pub(crate) fn new(account: &Account, room: i64) -> Self {
        Self {
            account: account.clone(),
            room,
            connection: None,
            view: View::default(),
            acknowledged: Vec::new(),
            unread: BTreeMap::new(),
            said: 0,
        }
    }

    /// Connects and follows the room from the last record seen on, until all of that is here.
    pub(crate) async fn follow(&mut self, engine: &Engine) {
        self.try_to_follow(engine).await.expect("the room can be followed");
    }

    pub(crate) async fn try_to_follow(&mut self, engine: &Engine) -> Result<(), Ended> {
        let mut connection = Connection::open(engine.addr(), &self.account.token).await?;
        let (destination, after) = (format!("/chat/{}", self.room), self.view.last().to_string());
        // No test's room holds more than that.
        let from = if self.view.seen.is_empty() { ("history", "200") } else { ("after", &*after) };
        let headers = [("id", "chat"), ("destination", &*destination), from, ("receipt", "following")];
        connection.send("SUBSCRIBE", &headers, "").await?;
        self.connection = Some(connection);
        timeout(PATIENCE, self.receipt("following")).await.expect("an answer to SUBSCRIBE")?;
        Ok(())
    }

    /// Says something, and where it is once it is acknowledged.
    pub(crate) async fn say(&mut self, content: &str) -> Result<i64, Ended> {
        let client_id = self.new_client_id();
        self.say_as(&client_id, content).await
    }

    pub(crate) fn new_client_id(&mut self) -> String {
        self.said += 1;
        format!("{}-{}", self.account.id, self.said)
    }

    /// The same under a name of its own, to say it again.
    pub(crate) async fn say_as(&mut self, client_id: &str, content: &str) -> Result<i64, Ended> {
        let destination = format!("/app/chat/{}", self.room);
        let body = serde_json::json!({ "content": content }).to_string();
        let headers = [("destination", &*destination), ("client-id", client_id), ("receipt", client_id)];
        let connection = self.connection.as_mut().ok_or_else(|| Ended::Broken("not connected".into()))?;
        connection.send("SEND", &headers, &body).await?;
        let receipt = timeout(PATIENCE, self.receipt(client_id)).await.expect("an answer to SEND");
        if receipt.is_err() {
            self.connection = None;
        }
        let seq = receipt?.number("seq").expect("a receipt with a seq");
        let ask = Ask::Say(content.to_owned());
        self.acknowledged.push(Acknowledged { client_id: client_id.to_owned(), seq, ask });
        Ok(seq)
    }

    /// Says it until it is acknowledged, wherever that is possible.
    pub(crate) async fn insist(&mut self, content: &str, cluster: &Cluster) -> i64 {
        let client_id = self.new_client_id();
        self.insist_as(&client_id, content, cluster).await
    }

    pub(crate) async fn insist_as(&mut self, client_id: &str, content: &str, cluster: &Cluster) -> i64 {
        for engine in cluster.engines().iter().filter(|engine| engine.is_wanted()).cycle() {
            if self.connection.is_none() && self.try_to_follow(engine).await.is_err() {
                self.connection = None;
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            if let Ok(seq) = self.say_as(client_id, content).await {
                return seq;
            }
        }
        unreachable!("a cycle has no end")
    }

    /// Waits for the record at `seq`.
    pub(crate) async fn sees(&mut self, seq: i64) {
        let wait = self.until(|chatter| chatter.view.seen.iter().any(|seen| seen.seq >= seq));
        wait.await.expect("the connection lives until the record is there");
    }

    /// The same on as many connections as it takes.
    pub(crate) async fn catches_up(&mut self, seq: i64, cluster: &Cluster) {
        for engine in cluster.engines().iter().filter(|engine| engine.is_wanted()).cycle() {
            if self.view.last() >= seq {
                return;
            }
            if self.connection.is_none() && self.try_to_follow(engine).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            if self.until(|chatter| chatter.view.last() >= seq).await.is_err() {
                self.connection = None;
            }
        }
    }

    /// How many have not read the message at `seq`, as shown now.
    pub(crate) fn unread(&self, seq: i64) -> Option<i64> {
        self.unread.get(&seq).copied()
    }

    /// Waits until the message at `seq` is shown with that count.
    pub(crate) async fn shows(&mut self, seq: i64, unread: i64) {
        let wait = timeout(PATIENCE, self.until(|chatter| chatter.unread(seq) == Some(unread))).await;
        let shown = self.unread(seq);
        wait.unwrap_or_else(|_| panic!("{seq} shows {shown:?} and not {unread}"))
            .expect("the connection lives");
    }

    /// How the connection is closed.
    pub(crate) async fn is_closed(&mut self) -> Ended {
        let closed = async {
            loop {
                match self.until(|_| false).await {
                    // What is said before the close.
                    Err(Ended::Refused { .. }) | Ok(()) => {}
                    Err(ended) => return ended,
                }
            }
        };
        let ended = timeout(PATIENCE, closed).await.expect("the connection ends");
        self.connection = None;
        ended
    }

    /// Is gone without a word.
    pub(crate) fn vanish(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.vanish();
        }
    }

    pub(crate) fn into_report(self) -> Report {
        Report {
            name: format!("user {}", self.account.id),
            room: 0,
            view: self.view,
            acknowledged: self.acknowledged,
            counts: BTreeMap::new(),
            went_after: None,
            unanswered: 0,
            connections: 0,
        }
    }

    async fn until(&mut self, there: impl Fn(&Self) -> bool) -> Result<(), Ended> {
        while !there(self) {
            self.next().await?;
        }
        Ok(())
    }

    async fn receipt(&mut self, id: &str) -> Result<Frame, Ended> {
        loop {
            let frame = self.next().await?;
            if frame.command == "RECEIPT" && frame.header("receipt-id") == Some(id) {
                return Ok(frame);
            }
        }
    }

    async fn next(&mut self) -> Result<Frame, Ended> {
        let connection = self.connection.as_mut().ok_or_else(|| Ended::Broken("not connected".into()))?;
        let frame = connection.next().await?;
        if frame.command == "MESSAGE" {
            match frame.number("seq") {
                Some(seq) => {
                    self.view.add(Seen::parse(seq, &frame.body, 0).unwrap());
                    if let Some(unread) = frame.number("unread") {
                        self.unread.insert(seq, unread);
                    }
                }
                None => self.count(&frame.body),
            }
        }
        Ok(frame)
    }

    /// As the page on the wire has it for client authors.
    fn count(&mut self, body: &str) {
        let event: Value = serde_json::from_str(body).unwrap();
        assert_ne!(event["recovered"], Value::Bool(false), "too much was missed for so short a test");
        for change in event["changes"].as_array().into_iter().flatten() {
            let number = |name: &str| change[name].as_i64().unwrap();
            for (_, unread) in self.unread.range_mut(number("from") + 1..=number("to")) {
                *unread += number("by");
            }
        }
        for step in event["reset"].as_array().into_iter().flatten() {
            let (above, unread) = (step[0].as_i64().unwrap(), step[1].as_i64().unwrap());
            for (_, shown) in self.unread.range_mut(above + 1..) {
                *shown = unread;
            }
        }
    }
}
