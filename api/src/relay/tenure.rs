//! What the node does that holds the relay's lock: it takes events to where they go, until there are none.
//!
//! Each key goes its own way. A partition of Kafka that takes nothing keeps the keys in it waiting, for as long as a
//! message may take, and nobody else.

use std::collections::HashMap;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use shared::event::{Delivery, Envelope, MeetupEvent};
use sqlx::types::Json;
use tokio::{sync::oneshot, time::Instant};

use super::{BACKOFF, Lines, POLL, Sink};

/// Events taken at once.
const BATCH: i64 = 256;
/// Keys whose events may be on their way. Only when more than so many have events in partitions that take nothing do the
/// others wait for them.
const KEYS: usize = 1024;

/// How a tenure ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// There is nothing to do, or another node is at it.
    Idle,
    /// What is left could not be delivered.
    Failed,
}

/// An event was not delivered; it stays in the outbox.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("the engine of this process takes no more events")]
    Closed,
    #[error("the engine of this process let the event go undone")]
    Undone,
    // Only a newer program writes what this one cannot read; its own relay will take it.
    #[error("it is unknown here: {0}")]
    Unknown(#[from] serde_json::Error),
    #[error(transparent)]
    Kafka(#[from] rdkafka::error::KafkaError),
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    key: String,
    payload: Json<serde_json::Value>,
}

/// A key that is not to be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Its events are on their way.
    UnderWay,
    /// One could not be delivered.
    Until(Instant),
}

/// What became of some events of one key.
struct Outcome {
    key: String,
    delivered: Vec<i64>,
    error: Option<DeliveryError>,
}

/// Begins when the lock is held. Dropping it leaves what is under way in the outbox.
pub(super) struct Tenure<'a> {
    sink: &'a Sink,
    lines: &'a mut Lines,
    held: HashMap<String, Held>,
    under_way: FuturesUnordered<BoxFuture<'a, Outcome>>,
    /// Another relay has to have its turn, or nobody: what is under way is the last.
    is_leaving: bool,
}

impl<'a> Tenure<'a> {
    pub(super) fn new(sink: &'a Sink, lines: &'a mut Lines) -> Self {
        Self { sink, lines, held: HashMap::new(), under_way: FuturesUnordered::new(), is_leaving: false }
    }

    /// Delivers what there is and what comes meanwhile.
    pub(super) async fn run(mut self) -> sqlx::Result<Ending> {
        loop {
            let now = Instant::now();
            self.held
                .retain(|_, held| *held == Held::UnderWay || matches!(held, Held::Until(due) if *due > now));
            while !self.is_leaving && self.under_way.len() < KEYS && self.take().await? {}
            if self.under_way.is_empty() {
                let is_done = self.held.is_empty() && !self.is_leaving;
                return Ok(if is_done { Ending::Idle } else { Ending::Failed });
            }
            self.wait().await?;
        }
    }

    /// Takes the oldest events of keys that are free. Whether there may be more. Always from the oldest on: an id that
    /// was given out early can commit late, and would be skipped by `id > last`.
    async fn take(&mut self) -> sqlx::Result<bool> {
        self.lines.forget_calls();
        let held: Vec<_> = self.held.keys().map(String::as_str).collect();
        let rows: Vec<Row> =
            sqlx::query_as("select id, key, payload from outbox where key <> all($1) order by id limit $2")
                .bind(held)
                .bind(BATCH)
                .fetch_all(&mut self.lines.outbox)
                .await?;
        let is_full = i64::try_from(rows.len()) == Ok(BATCH);
        let mut by_key = HashMap::<String, Vec<Row>>::new();
        for row in rows {
            by_key.entry(row.key.clone()).or_default().push(row);
        }
        for (key, rows) in by_key {
            self.held.insert(key.clone(), Held::UnderWay);
            self.under_way.push(deliver_in_order(self.sink, key, rows).boxed());
        }
        Ok(is_full)
    }

    /// Until something is delivered, or there is a reason to look again.
    async fn wait(&mut self) -> sqlx::Result<()> {
        let due = self.held.values().filter_map(|held| match held {
            Held::Until(due) => Some(*due),
            Held::UnderWay => None,
        });
        let due = due.min().unwrap_or_else(|| Instant::now() + POLL);
        tokio::select! {
            // Cancel-safe, each of them: an outcome is taken when it is there, and a call that is lost is one of many.
            biased;
            Some(outcome) = self.under_way.next() => self.settle(outcome).await,
            call = self.lines.calls.recv() => call.map(drop),
            () = tokio::time::sleep_until(due) => Ok(()),
        }
    }

    /// Deletes what was delivered by now, and lets the keys go on.
    async fn settle(&mut self, outcome: Outcome) -> sqlx::Result<()> {
        let mut delivered = Vec::new();
        let mut next = Some(outcome);
        while let Some(Outcome { key, delivered: ids, error }) = next {
            delivered.extend(ids);
            self.held.remove(&key);
            if let Some(error) = error {
                tracing::warn!(%error, key, "an event was not delivered; it will be sent again");
                let is_unknown = matches!(error, DeliveryError::Unknown(_));
                self.is_leaving |= is_unknown || self.sink.fatal_error().is_some();
                self.held.insert(key, Held::Until(Instant::now() + BACKOFF));
            }
            next = self.under_way.next().now_or_never().flatten();
        }
        if !delivered.is_empty() {
            sqlx::query("delete from outbox where id = any($1)")
                .bind(&delivered)
                .execute(&mut self.lines.outbox)
                .await?;
        }
        Ok(())
    }
}

/// Delivers the events of one key one after the other, up to the first that fails, and says which arrived.
/// One in flight per key: a later one that arrives while an earlier one has to be sent again would overtake.
async fn deliver_in_order(sink: &Sink, key: String, rows: Vec<Row>) -> Outcome {
    let mut delivered = Vec::with_capacity(rows.len());
    for Row { id, payload, .. } in rows {
        if let Err(error) = deliver(sink, &key, id, payload.0).await {
            return Outcome { key, delivered, error: Some(error) };
        }
        delivered.push(id);
    }
    Outcome { key, delivered, error: None }
}

async fn deliver(sink: &Sink, key: &str, id: i64, payload: serde_json::Value) -> Result<(), DeliveryError> {
    let envelope = Envelope { id, event: serde_json::from_value::<MeetupEvent>(payload)? };
    match sink {
        Sink::Kafka(kafka) => Ok(kafka.send(key, &envelope).await?),
        Sink::Local(engine) => {
            let (done, outcome) = oneshot::channel();
            engine.send(Delivery { envelope, done }).await.map_err(|_| DeliveryError::Closed)?;
            outcome.map(|outcome| outcome.map_err(|_| DeliveryError::Undone)).await
        }
    }
}
