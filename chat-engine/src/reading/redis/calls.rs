//! Calls on their way to Redis, in the order they were made.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use fred::{
    interfaces::{FunctionInterface as _, SetsInterface as _},
    types::Value,
};
use shared::{RoomId, Seq, UserId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{RETRY_MS, RedisError, Rooms, lease, random};
use crate::{
    history::journal::Journal,
    reading::{Incarnation, state::Checkpoint},
    shard::Shards,
};

/// Calls of one pipeline.
const BATCH: usize = 512;

/// What is said about readers.
#[derive(Debug)]
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
    Read {
        room: RoomId,
        user: UserId,
        seq: Seq,
    },
    Checkpoint {
        room: RoomId,
        checkpoint: Checkpoint,
        /// Dropped when it was said.
        _waiting: Arc<()>,
    },
    /// Nobody follows the room here any more.
    Close(RoomId),
    /// This incarnation has no lease.
    LeaseLost(Incarnation),
}

/// What calls are made with.
struct Caller {
    rooms: Rooms,
    node: watch::Sender<Incarnation>,
    journal: Journal,
    shards: Shards,
    /// Rooms that a take-over would find.
    registered: HashSet<RoomId>,
}

/// What stands in the way of a batch.
#[derive(Debug, Default)]
struct Refused {
    cold: BTreeSet<RoomId>,
    stale: bool,
    lost: bool,
}

/// Starts making calls as `node`, or whatever it becomes. The task ends, all calls made, when the last sender is dropped.
pub(super) fn start(
    rooms: Rooms,
    node: watch::Sender<Incarnation>,
    journal: Journal,
    shards: Shards,
) -> (mpsc::UnboundedSender<Call>, JoinHandle<()>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let caller = Caller { rooms, node, journal, shards, registered: HashSet::new() };
    (sender, tokio::spawn(caller.run(calls)))
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
        let node = self.node.borrow().0.to_string();
        if let Err(error) = lease::strike(&self.rooms, &node).await {
            tracing::warn!(%error, "this node is still on the list of the living");
        }
    }

    /// Makes the calls. Where something stands in the way, all are made again without it.
    async fn make(&mut self, batch: &[Call]) -> Result<(), RedisError> {
        let node = *self.node.borrow();
        let mut lost = batch.iter().any(|call| matches!(call, Call::LeaseLost(lost) if *lost == node));
        loop {
            if lost {
                self.begin_again().await?;
            }
            if !self.register(batch).await? {
                lost = true;
                continue;
            }
            let refused = self.pipeline(batch).await?;
            lost = refused.lost;
            if refused.stale {
                self.rooms.learn_generation().await?;
            }
            if !lost && !refused.stale && refused.cold.is_empty() {
                break;
            }
            for room in refused.cold {
                // Whoever follows it hears of its new life, and says again who reads there.
                self.rooms.warm(room).await?;
            }
        }
        self.close(batch).await
    }

    /// Goes on as somebody new: everybody who reads here is asserted again.
    async fn begin_again(&mut self) -> Result<(), RedisError> {
        let node = Incarnation(random()?);
        lease::renew(&self.rooms, node, true).await?;
        tracing::warn!("this node's lease was gone: asserting again who is reading");
        self.registered.clear();
        self.node.send_replace(node);
        // Before any call of theirs, in another queue: what is in this batch is said as the new one already.
        self.shards.reassert();
        Ok(())
    }

    /// Lists the rooms that get their first reader, before they do. Whether this node may.
    async fn register(&mut self, batch: &[Call]) -> Result<bool, RedisError> {
        let new: HashSet<_> = batch
            .iter()
            .filter_map(|call| match call {
                Call::Enter { room, .. } if !self.registered.contains(room) => Some(*room),
                _ => None,
            })
            .collect();
        if new.is_empty() {
            return Ok(true);
        }
        let node = self.node.borrow().0.to_string();
        let keys = self.rooms.nodes_and(&node);
        let arguments: Vec<_> = [node].into_iter().chain(new.iter().map(ToString::to_string)).collect();
        let listed: i64 = self.rooms.client.fcall("moyiza_register", keys, arguments).await?;
        if listed == 1 {
            self.registered.extend(new);
        }
        Ok(listed == 1)
    }

    /// Makes the calls once.
    async fn pipeline(&self, batch: &[Call]) -> Result<Refused, RedisError> {
        let (node, mut rooms) = (self.node.borrow().0.to_string(), Vec::with_capacity(batch.len()));
        let pipeline = self.rooms.client.pipeline();
        for call in batch {
            let (function, room, own) = match call {
                Call::Enter { room, user } => ("moyiza_enter", *room, vec![user.to_string(), node.clone()]),
                Call::Leave { room, user, taken } => {
                    self.journal.note(*room, *user, *taken);
                    ("moyiza_leave", *room, vec![user.to_string(), node.clone(), taken.to_string()])
                }
                Call::Read { room, user, seq } => {
                    self.journal.note(*room, *user, *seq);
                    ("moyiza_read", *room, vec![user.to_string(), seq.to_string()])
                }
                Call::Checkpoint { room, checkpoint, .. } => {
                    ("moyiza_checkpoint", *room, vec![node.clone(), line(checkpoint)])
                }
                Call::Close(room) => ("moyiza_checkpoint", *room, vec![node.clone(), String::new()]),
                Call::LeaseLost(_) => continue,
            };
            pipeline
                .fcall::<(), _, _, _>(function, self.rooms.keys(room), self.rooms.arguments(room, own))
                .await?;
            rooms.push(room);
        }
        if rooms.is_empty() {
            return Ok(Refused::default());
        }
        let answers: Vec<Value> = pipeline.all().await?;
        let mut refused = Refused::default();
        for (room, answer) in rooms.into_iter().zip(answers) {
            match answer.as_str().as_deref() {
                Some("COLD") => drop(refused.cold.insert(room)),
                Some("STALE") => refused.stale = true,
                Some("LOST") => refused.lost = true,
                Some(_) | None => {}
            }
        }
        Ok(refused)
    }

    /// Strikes rooms without readers off the list, in the order of the calls: one that was opened again stays.
    async fn close(&mut self, batch: &[Call]) -> Result<(), RedisError> {
        let mut closed = BTreeSet::new();
        for call in batch {
            match call {
                Call::Close(room) => drop(closed.insert(*room)),
                Call::Enter { room, .. } => drop(closed.remove(room)),
                _ => {}
            }
        }
        closed.retain(|room| self.registered.contains(room));
        if closed.is_empty() {
            return Ok(());
        }
        let node = self.node.borrow().0.to_string();
        let names: Vec<_> = closed.iter().map(ToString::to_string).collect();
        self.rooms.client.srem::<(), _, _>(self.rooms.rooms_of(&node), names).await?;
        self.registered.retain(|room| !closed.contains(room));
        Ok(())
    }
}

/// As the functions take it.
fn line(checkpoint: &Checkpoint) -> String {
    use std::fmt::Write as _;
    let mut line = checkpoint.all.to_string();
    for (user, seq) in &checkpoint.own {
        // Writing to a string does not fail.
        let _ = write!(line, " {user}:{seq}");
    }
    line
}
