//! Calls on their way to Redis, in the order they were made.
//!
//! A batch that may have been made, and may have not, is made again. The first may still be on its way, in a connection
//! that is given up or in a Redis that was stopped, and come after what is said later: "she reads here" after "she has
//! left". So each attempt has a number above all before it, and what comes with a lower one than a room has seen of
//! this node is not heard there.
//!
//! What was said a moment ago may be lost with Redis before PostgreSQL has it, from which Redis is loaded: it is said once
//! more to a Redis that is another one.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use fred::{
    interfaces::{FunctionInterface as _, KeysInterface as _},
    types::Value,
};
use futures_util::future::try_join_all;
use shared::{RoomId, Seq, UserId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{RETRY_MS, RedisError, Rooms, generation::newer, lease, random, reads::Reads};
use crate::{
    reading::{Incarnation, Life, state::Checkpoint},
    shard::Shards,
};

/// Calls of one pipeline.
const BATCH: usize = 512;
/// How long it is remembered how far somebody has read: longer than it takes to PostgreSQL, and than another Redis takes to
/// be there.
const REMEMBERED: Duration = Duration::from_mins(1);

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
        /// Or further, if they have read on by when it is made.
        seq: Seq,
    },
    Checkpoint {
        room: RoomId,
        checkpoint: Checkpoint,
        /// The same however often it is said. Given to it before it is, the first time.
        number: u64,
        /// Dropped when it was said.
        _waiting: Arc<()>,
    },
    /// Nobody follows the room here any more.
    Close(RoomId),
    /// The room was closed for good: nobody is to be counted there any more.
    End(RoomId),
    /// The room lives this life, as far as is known here.
    Lives(RoomId, Life),
    /// This incarnation has no lease.
    LeaseLost(Incarnation),
    /// There is a new connection, to a Redis that may be another one.
    Connected,
}

/// What calls are made with.
struct Caller {
    rooms: Rooms,
    node: watch::Sender<Incarnation>,
    shards: Shards,
    reads: Reads,
    /// Rooms that a take-over would find, each with the life in which it was listed: one that was loaded anew may be in a
    /// Redis that has forgotten this node, and then it is found out that there is no lease.
    registered: HashMap<RoomId, Life>,
    /// Lives of rooms that are to be listed.
    lives: HashMap<RoomId, Life>,
    /// In the Redis of this count.
    registered_in: u64,
    attempts: Attempts,
    /// How far somebody has read, and when that was said.
    said: VecDeque<(Instant, RoomId, UserId, Seq)>,
    /// To which Redis, and as whom.
    under: (u64, Incarnation),
}

/// Numbers of attempts. They begin at the time, so that of several nodes those that called last have the highest.
#[derive(Debug)]
struct Attempts(u64);

impl Attempts {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Less than 2^53 for the next two centuries, which is what Lua counts up to.
        Self(u64::try_from(now.as_micros()).unwrap_or_default())
    }

    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// What stands in the way of a batch.
#[derive(Debug, Default)]
struct Refused {
    cold: BTreeSet<RoomId>,
    unlisted: Vec<(RoomId, Life)>,
    /// By a room of this generation.
    stale: Option<u64>,
    lost: bool,
}

/// Starts making calls as `node`, or whatever it becomes. The task ends, all calls made, when the last sender is dropped.
pub(super) fn start(
    rooms: Rooms,
    node: watch::Sender<Incarnation>,
    shards: Shards,
    reads: Reads,
) -> (mpsc::UnboundedSender<Call>, JoinHandle<()>) {
    let (sender, calls) = mpsc::unbounded_channel();
    let under = (rooms.generation.known(), *node.borrow());
    let (registered, lives, attempts, said) =
        (HashMap::new(), HashMap::new(), Attempts::new(), VecDeque::new());
    let caller =
        Caller { rooms, node, shards, reads, registered, lives, registered_in: 0, attempts, said, under };
    (sender, tokio::spawn(caller.run(calls)))
}

impl Caller {
    async fn run(mut self, mut calls: mpsc::UnboundedReceiver<Call>) {
        let mut batch = Vec::new();
        while calls.recv_many(&mut batch, BATCH).await > 0 {
            self.complete(&mut batch);
            self.insist(&batch).await;
            self.remember(&batch);
            batch.clear();
            while self.begins_anew() {
                for again in self.said_lately().chunks(BATCH) {
                    self.insist(again).await;
                }
            }
            self.forget_old();
        }
        // Everybody has left: there is nothing to take over. If this fails, somebody finds that out.
        let node = self.node.borrow().0.to_string();
        if let Err(error) = lease::strike(&self.rooms, &node).await {
            tracing::warn!(%error, "this node is still on the list of the living");
        }
    }

    /// Gives calls what is the same however often they are made.
    fn complete(&mut self, batch: &mut [Call]) {
        for call in batch {
            match call {
                Call::Checkpoint { number, .. } => *number = self.attempts.next(),
                Call::Read { room, user, seq } => *seq = self.reads.take(*room, *user).unwrap_or(*seq),
                _ => {}
            }
        }
    }

    /// Makes the calls, however long that takes.
    async fn insist(&mut self, batch: &[Call]) {
        while let Err(error) = self.make(batch).await {
            tracing::warn!(%error, calls = batch.len(), "Redis does not take who is reading, trying again");
            tokio::time::sleep(Duration::from_millis(RETRY_MS.into())).await;
        }
    }

    fn remember(&mut self, batch: &[Call]) {
        let now = Instant::now();
        for call in batch {
            if let Call::Leave { room, user, taken: seq } | Call::Read { room, user, seq } = call {
                self.said.push_back((now, *room, *user, *seq));
            }
        }
    }

    fn forget_old(&mut self) {
        while self.said.front().is_some_and(|(when, ..)| when.elapsed() > REMEMBERED) {
            self.said.pop_front();
        }
    }

    /// Whether what was said before may be lost: to another Redis, or to one that has forgotten this node.
    fn begins_anew(&mut self) -> bool {
        let under = (self.rooms.generation.known(), *self.node.borrow());
        std::mem::replace(&mut self.under, under) != under
    }

    fn said_lately(&self) -> Vec<Call> {
        self.said
            .iter()
            .map(|(_, room, user, seq)| Call::Read { room: *room, user: *user, seq: *seq })
            .collect()
    }

    /// Makes the calls. Where something stands in the way, all are made again without it.
    async fn make(&mut self, batch: &[Call]) -> Result<(), RedisError> {
        let node = *self.node.borrow();
        let mut lost = batch.iter().any(|call| matches!(call, Call::LeaseLost(lost) if *lost == node));
        self.lives.extend(batch.iter().filter_map(|call| match call {
            Call::Lives(room, life) => Some((*room, *life)),
            _ => None,
        }));
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
            if let Some(generation) = refused.stale {
                self.rooms.learn_generation(generation).await?;
            }
            if !lost && refused.stale.is_none() && refused.cold.is_empty() && refused.unlisted.is_empty() {
                break;
            }
            self.lives.extend(refused.unlisted);
            // Whoever follows them hears of their new life, and says again who reads there.
            try_join_all(refused.cold.into_iter().map(|room| self.rooms.warm(room))).await?;
        }
        self.close(batch).await
    }

    /// Goes on as somebody new: everybody who reads here is asserted again.
    async fn begin_again(&mut self) -> Result<(), RedisError> {
        let (before, node) = (self.node.borrow().0.to_string(), Incarnation(random()?));
        lease::renew(&self.rooms, node, true).await?;
        tracing::warn!("this node's lease was gone: asserting again who is reading");
        // Whoever took it over did the same, but for rooms that Redis did not have then, and has by now. And where only the
        // list of the living was lost, nobody else does.
        let rooms: Vec<_> = self.registered.keys().copied().collect();
        lease::clear(&self.rooms, &before, &rooms).await?;
        lease::strike(&self.rooms, &before).await?;
        self.registered.clear();
        self.node.send_replace(node);
        // Before any call of theirs, in another queue: what is in this batch is said as the new one already.
        self.shards.reassert();
        Ok(())
    }

    /// Lists the rooms that get their first reader, in whatever life, before they do. Whether this node may.
    async fn register(&mut self, batch: &[Call]) -> Result<bool, RedisError> {
        let generation = self.rooms.generation.known();
        if std::mem::replace(&mut self.registered_in, generation) != generation {
            // A Redis that took over may lack the last of the list, and this node is not to be buried in fewer rooms than
            // where it reads.
            self.registered.clear();
        }
        let is_listed = |room| {
            let listed = self.registered.get(room);
            listed.is_some() && self.lives.get(room).is_none_or(|life| listed == Some(life))
        };
        let new: HashSet<_> = batch
            .iter()
            .filter_map(|call| match call {
                Call::Enter { room, .. } if !is_listed(room) => Some(*room),
                _ => None,
            })
            .collect();
        if new.is_empty() {
            return Ok(true);
        }
        let listed: i64 = self.list("moyiza_register", &new).await?;
        if listed == 1 {
            // Where the life is not known the room says it, and the same is done again.
            let lives = &mut self.lives;
            let listed = new.into_iter().map(|room| (room, lives.remove(&room).unwrap_or(Life(0))));
            self.registered.extend(listed);
        }
        Ok(listed == 1)
    }

    /// Puts rooms on the list of this node's, or takes them off it.
    async fn list(&mut self, function: &str, rooms: &HashSet<RoomId>) -> Result<i64, RedisError> {
        let node = self.node.borrow().0.to_string();
        let keys = self.rooms.nodes_and(&node).to_vec();
        let mut arguments = vec![node, self.attempts.next().to_string()];
        arguments.extend(rooms.iter().map(ToString::to_string));
        Ok(self.rooms.client.fcall(function, keys, arguments).await?)
    }

    /// Makes the calls once.
    async fn pipeline(&mut self, batch: &[Call]) -> Result<Refused, RedisError> {
        let (node, mut rooms) = (self.node.borrow().0.to_string(), Vec::with_capacity(batch.len()));
        let attempt = self.attempts.next().to_string();
        let as_node = |own: Vec<String>| [vec![node.clone(), attempt.clone()], own].concat();
        let pipeline = self.rooms.client.pipeline();
        for call in batch {
            let (function, room, own) = match call {
                Call::Enter { room, user } => {
                    let life = self.registered.get(room).map_or(0, |life| life.0);
                    ("moyiza_enter", *room, as_node(vec![user.to_string(), life.to_string()]))
                }
                Call::Leave { room, user, taken } => {
                    ("moyiza_leave", *room, as_node(vec![user.to_string(), taken.to_string()]))
                }
                Call::Read { room, user, seq } => {
                    ("moyiza_read", *room, vec![user.to_string(), seq.to_string()])
                }
                Call::Checkpoint { room, checkpoint, number, .. } => {
                    ("moyiza_checkpoint", *room, as_node(vec![number.to_string(), line(checkpoint)]))
                }
                Call::Close(room) => {
                    ("moyiza_checkpoint", *room, as_node(vec!["0".to_owned(), String::new()]))
                }
                Call::End(room) => {
                    pipeline.del::<(), _>(self.rooms.keys(*room)).await?;
                    rooms.push((*room, true));
                    continue;
                }
                Call::Lives(..) | Call::LeaseLost(_) | Call::Connected => continue,
            };
            pipeline
                .fcall::<(), _, _, _>(function, self.rooms.keys(room), self.rooms.arguments(room, own))
                .await?;
            rooms.push((room, matches!(call, Call::Close(_))));
        }
        if rooms.is_empty() {
            return Ok(Refused::default());
        }
        let answers: Vec<Value> = pipeline.all().await?;
        let mut refused = Refused::default();
        for ((room, closes), answer) in rooms.into_iter().zip(answers) {
            refused.stale = refused.stale.max(newer(&answer));
            match answer.as_str().as_deref() {
                // There is nothing to be cleared away.
                Some("COLD") if closes => {}
                Some("COLD") => drop(refused.cold.insert(room)),
                Some("LOST") => refused.lost = true,
                Some(answer) => {
                    let life = answer.strip_prefix("UNLISTED ").and_then(|life| life.parse().ok());
                    refused.unlisted.extend(life.map(|life| (room, Life(life))));
                }
                None => {}
            }
        }
        Ok(refused)
    }

    /// Strikes rooms without readers off the list, in the order of the calls: one that was opened again stays.
    async fn close(&mut self, batch: &[Call]) -> Result<(), RedisError> {
        let mut closed = HashSet::new();
        for call in batch {
            match call {
                Call::Close(room) => {
                    closed.insert(*room);
                    self.lives.remove(room);
                }
                Call::Enter { room, .. } => drop(closed.remove(room)),
                _ => {}
            }
        }
        closed.retain(|room| self.registered.contains_key(room));
        if closed.is_empty() {
            return Ok(());
        }
        self.list("moyiza_unregister", &closed).await?;
        self.registered.retain(|room, _| !closed.contains(room));
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
