//! Starting and stopping a node.

mod cluster;
mod embedded;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    thread::available_parallelism,
};

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
    task::JoinHandle,
};

use crate::{
    access::Access,
    connection::Registry,
    engine::Engine,
    history::journal::Journal,
    log::{AppendError, Log},
    membership::Memberships,
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
#[derive(Debug)]
pub enum Backend {
    /// This process alone: the log in PostgreSQL, positions in memory, events from the api beside it.
    Embedded {
        /// The api's events.
        events: mpsc::Receiver<Delivery>,
    },
    /// Any number of nodes.
    Cluster {
        /// Kafka's brokers, as `host:port,…`.
        brokers: String,
        /// Where Redis is.
        redis_url: String,
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
    shards: Vec<JoinHandle<()>>,
    backing: Backing,
    journal: JoinHandle<()>,
}

/// What runs beneath a node.
enum Backing {
    Embedded(embedded::Running),
    Cluster(Box<cluster::Running>),
}

/// What both backends give a node.
struct Foundation {
    log: Log,
    shards: Vec<JoinHandle<()>>,
}

/// Starts a node on `database`, whose schema is up to date. The port is open when this returns.
pub async fn start(settings: Settings, database: PgPool, backend: Backend) -> anyhow::Result<Running> {
    let Settings { engine: mut settings, common } = settings;
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
    let access = Access::load(database.clone()).await?;
    let memberships = Memberships::new(database.clone());
    let (stop, stopping) = watch::channel(false);
    let engine = |log, caught_up| {
        let caught_up = AtomicBool::new(caught_up);
        let (registry, shards) = (Registry::default(), shards.clone());
        Arc::new(Engine { settings: settings.clone(), access, memberships, registry, shards, log, caught_up })
    };
    let (engine, shard_tasks, backing) = match backend {
        Backend::Embedded { events } => {
            let (foundation, log) = embedded::lay(&database, journal, &shards, receivers).await?;
            let engine = engine(foundation.log, true);
            let running = embedded::Running::start(log, &engine, events);
            (engine, foundation.shards, Backing::Embedded(running))
        }
        Backend::Cluster { brokers, redis_url } => {
            let addresses = cluster::Addresses { brokers, redis_url, prefix: common.prefix };
            let laid = cluster::lay(addresses, &settings, &database, journal, &shards, receivers).await?;
            let (foundation, ground) = laid;
            let engine = engine(foundation.log, false);
            let running = cluster::Running::start(ground, &engine, stopping.clone())?;
            (engine, foundation.shards, Backing::Cluster(Box::new(running)))
        }
    };
    let (open, connections) = mpsc::channel(1);
    let acceptor = tokio::spawn(server::accept(engine.clone(), listener, stopping, open));
    tracing::info!(%addr, "chat engine started");
    Ok(Running {
        addr,
        engine,
        stop,
        connections,
        acceptor,
        shards: shard_tasks,
        backing,
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
        match &mut self.backing {
            Backing::Embedded(running) => running.failed().await,
            Backing::Cluster(running) => running.failed().await,
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
        let shards = self.engine.shards.clone();
        // The last way to an embedded log but its own, which then writes what it has and ends.
        drop(self.engine);
        let reading = match self.backing {
            Backing::Embedded(running) => {
                running.stop().await;
                None
            }
            Backing::Cluster(running) => Some(running.stop().await),
        };
        shards.stop();
        for shard in self.shards {
            let _ = shard.await;
        }
        drop(shards);
        if let Some(reading) = reading {
            let _ = reading.await;
        }
        let _ = self.journal.await;
    }
}
