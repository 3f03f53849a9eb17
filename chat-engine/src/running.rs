//! Starting and stopping a node.

use std::{net::SocketAddr, sync::Arc, thread::available_parallelism};

use anyhow::Context;
use shared::{
    RoomId, Seq, UserId,
    config::{CommonSettings, EngineSettings},
    event::Delivery,
};
use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    access::Access,
    connection::Registry,
    engine::Engine,
    events,
    history::{self, journal::Journal},
    log::{AppendError, Log, embedded, epoch},
    membership::Memberships,
    reading::{Reading, memory::MemoryReading},
    record::Draft,
    server,
    shard::Shards,
};

/// A node's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engine's own.
    pub engine: EngineSettings,
    /// Those of every process.
    pub common: CommonSettings,
}

/// What a node stands on.
pub enum Backend {
    /// This process alone: the log in PostgreSQL, positions in memory, events from the api beside it.
    Embedded {
        /// The api's events.
        events: mpsc::Receiver<Delivery>,
    },
}

/// A running node.
pub struct Running {
    addr: SocketAddr,
    engine: Arc<Engine>,
    stop: watch::Sender<bool>,
    /// Ends when the last connection is gone.
    connections: mpsc::Receiver<()>,
    acceptor: JoinHandle<()>,
    followers: JoinSet<()>,
    /// The log's own task; its end is the node's.
    log: JoinHandle<anyhow::Result<()>>,
    shards: Vec<JoinHandle<()>>,
    journal: JoinHandle<()>,
}

/// Starts a node on `database`, whose schema is up to date. The port is open when this returns.
pub async fn start(settings: Settings, database: PgPool, backend: Backend) -> anyhow::Result<Running> {
    let mut settings = settings.engine;
    let addr = settings.engine_addr;
    let listener = TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}; MOYIZA_ENGINE_ADDR sets another address"))?;
    let addr = listener.local_addr()?;
    if settings.origins.is_empty() {
        settings.origins = default_origins(8080);
    }

    let (shards, receivers) = Shards::new(available_parallelism().map_or(1, usize::from));
    let (journal, journal_task) = Journal::start(database.clone());
    let Backend::Embedded { events } = backend;
    let epoch = epoch::current(&database, epoch::Backend::Embedded, 1).await?;
    let next = history::next_offset(&database, epoch, embedded::PARTITION).await?;
    let reading = Reading::Memory(MemoryReading::new(database.clone(), journal, shards.clone()));
    let shard_tasks = receivers.start(&database, epoch, &reading, &shards, &[epoch.before(next)]);
    let (log, log_task) =
        embedded::EmbeddedLog::start(database.clone(), epoch, next, reading.clone(), shards.clone());

    let engine = Arc::new(Engine {
        settings,
        access: Access::load(database.clone()).await?,
        memberships: Memberships::new(database),
        registry: Registry::default(),
        shards,
        log: Log::Embedded(log),
    });
    let (stop, stopping) = watch::channel(false);
    let (open, connections) = mpsc::channel(1);
    let acceptor = tokio::spawn(server::accept(engine.clone(), listener, stopping, open));
    let mut followers = JoinSet::new();
    followers.spawn(events::follow_local(engine.clone(), events));
    tracing::info!(%addr, epoch = epoch.number, "chat engine started");
    Ok(Running {
        addr,
        engine,
        stop,
        connections,
        acceptor,
        followers,
        log: log_task,
        shards: shard_tasks,
        journal: journal_task,
    })
}

/// The web page's origins where it is served on `port` of this machine.
pub fn default_origins(port: u16) -> Vec<String> {
    ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("http://{host}:{port}")).into()
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a message without a connection, and waits until it is durable.
    pub async fn post(&self, room: RoomId, sender: UserId, content: &str) -> Result<Seq, AppendError> {
        self.engine.log.append_durably(Draft::message(room, sender, None, content)).await
    }

    /// Waits for the node to fail, and says why.
    pub async fn finished(&mut self) -> anyhow::Error {
        match (&mut self.log).await {
            Ok(Ok(())) => anyhow::anyhow!("the chat log ended"),
            Ok(Err(error)) => error.context("the chat log failed"),
            Err(panic) => anyhow::Error::new(panic).context("the chat log failed"),
        }
    }

    /// Stops: no new connections, every client told to reconnect elsewhere, every message that was taken made
    /// durable and every position written.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = self.acceptor.await;
        self.engine.go_away();
        // Nothing is ever sent: this ends when every connection has dropped its end.
        let _ = self.connections.recv().await;
        self.followers.shutdown().await;
        let shards = self.engine.shards.clone();
        // The last way to the log, which then writes what it has and ends.
        drop(self.engine);
        if !self.log.is_finished() {
            let _ = self.log.await;
        }
        shards.stop();
        for shard in self.shards {
            let _ = shard.await;
        }
        drop(shards);
        let _ = self.journal.await;
    }
}
