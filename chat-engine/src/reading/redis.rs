//! The reading state of any number of nodes, in Redis.
//!
//! Every change is one call of a function in [`functions.lua`](self), which publishes it on the room's channel.
//! Calls of a node leave in the order they were made, as many as are waiting in one pipeline, and a pipeline
//! that failed is sent again: every call may be repeated, and one that comes when a later one has come is not heard.
//! Names of keys: `{prefix}{room:ID}:…`, so that all keys of a room are in one slot of a Redis Cluster.

mod calls;
mod feeds;
mod forget;
mod generation;
mod lease;
mod load;
mod positions;
mod reads;
mod silent;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

pub use forget::forget_rooms;
use fred::{
    clients::{Client, SubscriberClient},
    interfaces::{ClientInterface as _, ClientLike as _, EventInterface as _, FunctionInterface as _},
    types::{
        Builder, Value,
        config::{Config, ReconnectPolicy},
    },
};
use shared::{RoomId, Seq, UserId};
use sqlx::PgPool;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};

use self::{
    generation::{Generation, newer},
    reads::Reads,
};
use super::{Change, Effect, Incarnation, Life, Positions, Snapshot, state::Checkpoint};
use crate::{history::journal::Journal, log::epoch::Epoch, record::Record, shard::Shards};

/// What the functions are.
const FUNCTIONS: &str = include_str!("functions.lua");
/// Rooms that are brought from PostgreSQL at a time: after a failover all that are open want to be, and whoever else needs the
/// database is not to wait for that. Less than a node has connections.
const LOADS: usize = 4;
/// Between two attempts to reach Redis, in milliseconds.
const RETRY_MS: u32 = 100;

/// Why there is no reading state to work with.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// Redis does not answer, or refuses.
    #[error(transparent)]
    Redis(#[from] fred::error::Error),
    /// The database that positions are loaded from does not answer.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// Redis has other data by now than this node knew.
    #[error("Redis was restarted or failed over")]
    Stale,
    /// An answer that the functions do not give.
    #[error("unexpected answer from Redis: {0}")]
    Answer(String),
}

/// A node's way to the reading state.
#[derive(Clone)]
pub struct RedisReading {
    rooms: Rooms,
    journal: Journal,
    calls: mpsc::UnboundedSender<calls::Call>,
    reads: Reads,
    feeds: mpsc::UnboundedSender<feeds::Order>,
}

/// The state of rooms, and how it comes to be there.
#[derive(Clone)]
struct Rooms {
    client: Client,
    prefix: Arc<str>,
    pool: PgPool,
    epoch: Epoch,
    generation: Generation,
    shards: Shards,
    /// Rooms that are brought from PostgreSQL at a time, whoever asked for them.
    loads: Arc<Semaphore>,
}

impl RedisReading {
    /// Connects to Redis at `url` and loads the functions. Changes of open rooms go to `shards`. The task ends
    /// when the last `RedisReading` is dropped and Redis has been told of everything. Each open room is asked every `check`
    /// whether all its changes have come.
    pub async fn connect(
        url: &str,
        prefix: &str,
        pool: PgPool,
        epoch: Epoch,
        journal: Journal,
        shards: Shards,
        check: Duration,
    ) -> Result<(Self, JoinHandle<()>), RedisError> {
        let mut builder_of_calls = builder(url)?;
        // A call that may have been made already is made again by who made it, in order and under a number of its own: the
        // driver, which would do so by itself, does neither.
        builder_of_calls.with_connection_config(|connection| connection.max_command_attempts = 1);
        let client = builder_of_calls.build()?;
        client.init().await?;
        let reconnects = client.reconnect_rx();
        client.function_load_cluster::<(), _>(true, FUNCTIONS).await?;
        let subscriber: SubscriberClient = builder(url)?.build_subscriber_client()?;
        subscriber.init().await?;
        // For whoever looks at Redis' list of clients.
        subscriber.client_setname(format!("{prefix}feeds")).await?;
        let rooms = Rooms {
            client,
            prefix: prefix.into(),
            pool,
            epoch,
            generation: Generation::default(),
            shards: shards.clone(),
            loads: Arc::new(Semaphore::new(LOADS)),
        };
        rooms.learn_generation(0).await?;
        let node = Incarnation(random()?);
        lease::renew(&rooms, node, true).await?;
        let (node, current) = watch::channel(node);
        let reads = Reads::default();
        let (calls, calling) = calls::start(rooms.clone(), node, shards.clone(), reads.clone());
        tokio::spawn(lease::keep(rooms.clone(), calls.downgrade(), current.clone()));
        tokio::spawn(generation::follow(rooms.clone(), reconnects, calls.downgrade(), current));
        let followed = silent::Followed::default();
        tokio::spawn(silent::ask(rooms.clone(), followed.clone(), check, calls.downgrade()));
        let feeds = feeds::start(subscriber, rooms.clone(), followed, shards);
        Ok((Self { rooms, journal, calls, reads, feeds }, calling))
    }

    /// A room's positions; its changes follow to the shards.
    pub async fn snapshot(&self, room: RoomId, needed: &Weak<()>) -> Result<Snapshot, RedisError> {
        self.follow(room, needed.clone()).await?;
        self.whole(room).await
    }

    /// The positions of a room that is followed.
    async fn whole(&self, room: RoomId) -> Result<Snapshot, RedisError> {
        let snapshot = self.rooms.snapshot(room).await?;
        // Before anybody is said to read there.
        let _ = self.calls.send(calls::Call::Lives(room, snapshot.life));
        Ok(snapshot)
    }

    /// What happened since `version` of `life`, or the positions where that is not known any more; changes follow to the
    /// shards.
    pub async fn catch_up(
        &self,
        room: RoomId,
        (life, version): (Life, u64),
        needed: &Weak<()>,
    ) -> Result<Positions, RedisError> {
        self.follow(room, needed.clone()).await?;
        match self.rooms.changes(room, life, version).await? {
            Some(changes) => Ok(Positions::Since(changes)),
            None => Ok(Positions::Whole(self.whole(room).await?)),
        }
    }

    /// Before anything is asked: what changes from then on is heard.
    async fn follow(&self, room: RoomId, needed: Weak<()>) -> Result<(), RedisError> {
        let (done, followed) = oneshot::channel();
        // The feeds end with the last sender, which is this.
        let _ = self.feeds.send(feeds::Order::Follow(room, needed, done));
        followed.await.map_err(|_| RedisError::Answer("the room's changes cannot be followed".into()))
    }

    pub(super) fn forget(&self, room: RoomId) {
        let _ = self.feeds.send(feeds::Order::Forget(room));
    }

    pub(super) fn close(&self, room: RoomId) {
        let _ = self.calls.send(calls::Call::Close(room));
    }

    pub(super) fn end(&self, room: RoomId) {
        let _ = self.calls.send(calls::Call::End(room));
    }

    pub(super) fn enter(&self, room: RoomId, user: UserId) {
        let _ = self.calls.send(calls::Call::Enter { room, user });
    }

    pub(super) fn leave(&self, room: RoomId, user: UserId, taken: Seq) {
        // Whether Redis is there or not.
        self.journal.note(room, user, taken);
        let _ = self.calls.send(calls::Call::Leave { room, user, taken });
    }

    pub(super) fn read(&self, room: RoomId, user: UserId, seq: Seq) {
        self.journal.note(room, user, seq);
        if self.reads.note(room, user, seq) {
            let _ = self.calls.send(calls::Call::Read { room, user, seq });
        }
    }

    pub(super) fn note(&self, room: RoomId, user: UserId, seq: Seq) {
        self.journal.note(room, user, seq);
    }

    pub(super) fn checkpoint(&self, room: RoomId, checkpoint: Checkpoint) -> Weak<()> {
        let waiting = Arc::default();
        let waits = Arc::downgrade(&waiting);
        let _ = self.calls.send(calls::Call::Checkpoint { room, checkpoint, number: 0, _waiting: waiting });
        waits
    }

    /// Tells Redis once.
    pub(super) async fn tell(&self, records: &[Arc<Record>]) -> Result<(), RedisError> {
        self.rooms.tell(records).await
    }
}

impl Rooms {
    fn keys(&self, room: RoomId) -> Vec<String> {
        keys(&self.prefix, room)
    }

    /// The nodes that hold a lease, those that are to be buried, and the rooms in which this one has readers.
    fn nodes_and(&self, node: &str) -> [String; 3] {
        ["living", "dying", &format!("rooms:{node}")].map(|key| format!("{}{{nodes}}:{key}", self.prefix))
    }

    /// What every function of a room takes, and then its own.
    fn arguments(&self, room: RoomId, own: impl IntoIterator<Item = String>) -> Vec<String> {
        [self.channel(room), self.generation.known().to_string()].into_iter().chain(own).collect()
    }

    async fn call(
        &self,
        function: &str,
        room: RoomId,
        own: impl IntoIterator<Item = String>,
    ) -> Result<Value, RedisError> {
        Ok(self.client.fcall(function, self.keys(room), self.arguments(room, own)).await?)
    }

    fn channel(&self, room: RoomId) -> String {
        format!("{}:feed", tag(&self.prefix, room))
    }

    async fn tell(&self, records: &[Arc<Record>]) -> Result<(), RedisError> {
        let mut rooms: std::collections::BTreeMap<RoomId, Vec<String>> = std::collections::BTreeMap::new();
        for record in records {
            let Some(effect) = Effect::of(record.draft.kind) else { continue };
            let arguments =
                rooms.entry(record.draft.room).or_insert_with(|| self.arguments(record.draft.room, []));
            let effect = match effect {
                Effect::Sent => "sent",
                Effect::Joined => "joined",
                Effect::Left => "left",
            };
            arguments.extend([record.seq.to_string(), record.draft.user.to_string(), effect.to_owned()]);
        }
        let pipeline = self.client.pipeline();
        for (room, arguments) in rooms {
            pipeline.fcall::<(), _, _, _>("moyiza_tell", self.keys(room), arguments).await?;
        }
        let answers: Vec<Value> = pipeline.all().await?;
        // Of a room that is not there nothing needs to be told: it is loaded with all of it. But one that is told
        // by a node that has not seen Redis' new data yet is told again.
        if let Some(generation) = answers.iter().filter_map(newer).max() {
            self.learn_generation(generation).await?;
            return Err(RedisError::Stale);
        }
        Ok(())
    }
}

/// What puts all keys of a room into one slot.
fn tag(prefix: &str, room: RoomId) -> String {
    format!("{prefix}{{room:{room}}}")
}

/// The keys that the functions work on.
fn keys(prefix: &str, room: RoomId) -> Vec<String> {
    let tag = tag(prefix, room);
    ["positions", "active", "meta", "changes", "checkpoints"].map(|key| format!("{tag}:{key}")).into()
}

/// How every client of this node's is built.
pub(crate) fn builder(url: &str) -> Result<Builder, fred::error::Error> {
    let mut builder = Builder::from_config(Config::from_url(url)?);
    // For ever: a node without Redis goes on with what it has.
    builder.set_policy(ReconnectPolicy::new_constant(0, RETRY_MS));
    builder.with_performance_config(|performance| {
        // A call that nobody answers is made again: it may be repeated.
        performance.default_command_timeout = std::time::Duration::from_secs(5);
        performance.broadcast_channel_capacity = 4096;
    });
    Ok(builder)
}

/// What is published of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// It was loaded: a new life.
    Begun(Life),
    Changed(Change),
}

/// A line that the functions publish: life, version, and, but for the first of a life, user and position.
fn parse_news(text: &str) -> Option<News> {
    let mut words = text.split(' ');
    let (life, version) = (Life(words.next()?.parse().ok()?), words.next()?.parse().ok()?);
    let Some(user) = words.next() else { return Some(News::Begun(life)) };
    let to = words.next()?;
    let to = if to == "-" { None } else { Some(to.parse().ok()?) };
    Some(News::Changed(Change { life, version, user: user.parse().ok()?, to }))
}

/// Numbers that nobody else has.
fn random() -> Result<u64, RedisError> {
    getrandom::u64().map_err(|error| RedisError::Answer(error.to_string()))
}
