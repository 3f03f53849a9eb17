//! Calls on their way to Redis, in the order they were made.

use std::{collections::HashSet, time::Duration};

use fred::{
    interfaces::{FunctionInterface as _, SetsInterface as _},
    types::Value,
};
use shared::{RoomId, Seq, UserId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{RETRY_MS, RedisError, Rooms, lease, parse_change};
use crate::{history::journal::Journal, reading::Incarnation};

/// Calls of one pipeline.
const BATCH: usize = 512;

/// A change of who is reading.
pub(super) enum Call {
    Enter {
        room: RoomId,
        user: UserId,
    },
    Leave {
        room: RoomId,
        user: UserId,
        taken: Seq,
    },
    /// The list of this node's rooms may be gone with its lease.
    LeaseLost,
}

/// What calls are made with.
struct Caller {
    rooms: Rooms,
    node: Incarnation,
    journal: Journal,
    /// Rooms that a take-over would find.
    registered: HashSet<RoomId>,
}

/// Starts making calls. The task ends, all calls made, when the last sender is dropped; then it drops `living`.
pub(super) fn start(
    rooms: Rooms,
    node: Incarnation,
    journal: Journal,
    living: watch::Sender<()>,
) -> (mpsc::UnboundedSender<Call>, JoinHandle<()>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let caller = Caller { rooms, node, journal, registered: HashSet::new() };
    let task = tokio::spawn(async move {
        caller.run(calls).await;
        drop(living);
    });
    (sender, task)
}

impl Caller {
    async fn run(mut self, mut calls: mpsc::UnboundedReceiver<Call>) {
        let mut batch = Vec::new();
        while calls.recv_many(&mut batch, BATCH).await > 0 {
            while let Err(error) = self.make(&batch).await {
                tracing::warn!(%error, calls = batch.len(), "Redis does not take who is reading, trying again");
                tokio::time::sleep(Duration::from_millis(RETRY_MS.into())).await;
            }
            batch.clear();
        }
        // Everybody has left: there is nothing to take over. If this fails, somebody finds that out.
        if let Err(error) = lease::strike(&self.rooms, &self.node.0.to_string()).await {
            tracing::warn!(%error, "this node is still on the list of the living");
        }
    }

    /// Makes the calls. If one finds its room cold, all are made again once it is warm.
    async fn make(&mut self, batch: &[Call]) -> Result<(), RedisError> {
        self.register(batch).await?;
        loop {
            let cold = self.pipeline(batch).await?;
            if cold.is_empty() {
                return Ok(());
            }
            for room in cold {
                self.rooms.warm(room).await?;
            }
        }
    }

    /// Lists the rooms that get their first reader, before they do.
    async fn register(&mut self, batch: &[Call]) -> Result<(), RedisError> {
        let mut new = HashSet::new();
        for call in batch {
            match call {
                Call::Enter { room, .. } if !self.registered.contains(room) => {
                    new.insert(*room);
                }
                Call::LeaseLost => {
                    new.extend(self.registered.drain());
                }
                Call::Enter { .. } | Call::Leave { .. } => {}
            }
        }
        if !new.is_empty() {
            let names: Vec<_> = new.iter().map(ToString::to_string).collect();
            self.rooms.client.sadd::<(), _, _>(self.rooms.rooms_of(&self.node.0.to_string()), names).await?;
            self.registered.extend(new);
        }
        Ok(())
    }

    /// Makes the calls once: the rooms that were cold.
    async fn pipeline(&self, batch: &[Call]) -> Result<Vec<RoomId>, RedisError> {
        let pipeline = self.rooms.client.pipeline();
        let mut members = Vec::with_capacity(batch.len());
        for call in batch {
            let (function, room, user, taken) = match call {
                Call::Enter { room, user } => ("moyiza_enter", *room, *user, None),
                Call::Leave { room, user, taken } => ("moyiza_leave", *room, *user, Some(taken.to_string())),
                Call::LeaseLost => continue,
            };
            let mut arguments = vec![self.rooms.channel(room), user.to_string(), self.node.0.to_string()];
            arguments.extend(taken);
            pipeline.fcall::<(), _, _, _>(function, self.rooms.keys(room), arguments).await?;
            members.push((room, user));
        }
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let answers: Vec<Value> = pipeline.all().await?;
        let mut cold = Vec::new();
        for ((room, user), answer) in members.into_iter().zip(answers) {
            match answer.as_str().as_deref() {
                Some("COLD") => cold.push(room),
                Some(line) => {
                    if let Some(seq) = parse_change(line).and_then(|change| change.to) {
                        self.journal.note(room, user, seq);
                    }
                }
                None => {}
            }
        }
        Ok(cold)
    }
}
