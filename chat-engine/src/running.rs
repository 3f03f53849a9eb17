//! Starting and stopping a node.

mod cluster;
mod embedded;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    thread::available_parallelism,
    time::Duration,
};

use anyhow::Context;
use shared::{
    RoomId, Seq, UserId,
    config::{CommonSettings, EngineSettings},
    event::Delivery,
};
use sqlx::PgPool;
use stomp::session::SessionSettings;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    access::Access,
    connection::{Rate, Registry, Timers, door::Door, flusher::Flushers},
    engine::{Counters, Engine},
    history::journal::Journal,
    inboxes::Inboxes,
    log::{AppendError, Log},
    membership::Memberships,
    record::Draft,
    server,
    shard::{Shards, Tuning},
    timing::Timing,
    topics::{self, Topics, redis::RedisTopics},
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

/// What follows from the settings.
struct Setup {
    session: Arc<SessionSettings>,
    send_rate: Rate,
    max_connections_per_user: usize,
    door: Arc<Door>,
    tuning: Tuning,
}

/// Open files that are kept for other things than connections.
const RESERVED_FILES: usize = 256;

impl Setup {
    fn new(settings: &EngineSettings, common: &CommonSettings) -> anyhow::Result<Self> {
        let limits = &settings.limits;
        let milliseconds = Duration::from_millis;
        let (can_send_ms, wants_ms) = settings.heart_beat_ms;
        let session = SessionSettings {
            limits: stomp::Limits {
                frame_bytes: limits.max_frame_bytes,
                header_bytes: limits.max_header_bytes,
                headers: limits.max_headers,
            },
            heart_beat: stomp::HeartBeat { can_send_ms, wants_ms },
            tolerance: 2,
            connect_timeout: milliseconds(limits.connect_timeout_ms),
            frame_timeout: milliseconds(limits.frame_timeout_ms),
            subscriptions: limits.max_subscriptions,
            unacknowledged: limits.max_unacknowledged,
            transactions: limits.max_transactions,
            transaction_frames: limits.max_transaction_frames,
            transaction_bytes: limits.max_transaction_bytes,
        };
        let unlimited_if_zero = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let files = shared::limits::open_files().unwrap_or(u64::MAX);
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let most = files.saturating_sub(RESERVED_FILES).max(1);
        let max_connections = limits.max_connections.unwrap_or(most);
        anyhow::ensure!(
            max_connections <= most,
            "MOYIZA_MAX_CONNECTIONS is {max_connections}, but the process may open {files} files, of which it \
             keeps {RESERVED_FILES} for other things (ulimit -n)"
        );
        // One account with very many connections is a load test.
        let per_user = limits.max_connections_per_user;
        let per_user = per_user.unwrap_or(if common.development { 0 } else { 100 });
        Ok(Self {
            session: Arc::new(session),
            send_rate: Rate { per_second: limits.max_sends_per_second, burst: limits.max_send_burst },
            max_connections_per_user: unlimited_if_zero(per_user),
            door: Door::new(max_connections, unlimited_if_zero(limits.max_connections_per_address)),
            tuning: Tuning {
                compress_from: if settings.compression { settings.compress_from_bytes } else { usize::MAX },
                tail_bytes: settings.tail_bytes,
                max_replay: limits.max_replay,
                // Frames are longer than their bodies, and live ones are to fit behind them.
                max_sent: limits.max_queued_bytes / 2,
                journal_every: Duration::from_millis(settings.reading_journal_ms.into()),
            },
        })
    }
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
    let setup = Setup::new(&settings, &common)?;
    let cores = available_parallelism().map_or(1, usize::from);
    let timing = Arc::new(Timing::default());
    let (shards, receivers) = Shards::new(cores, timing.clone());
    let (journal, journal_task) = Journal::start(database.clone());
    let memberships = Memberships::new(database.clone());
    let inboxes = Inboxes::new(database.clone(), shards.clone());
    let (stop, stopping) = watch::channel(false);
    let local_topics = topics::Local::new(setup.tuning.compress_from);
    let Setup { session, send_rate, max_connections_per_user, door, tuning } = setup;
    let engine = |access, log, remote_topics, caught_up| {
        Arc::new(Engine {
            settings: settings.clone(),
            runtime: Handle::current(),
            development: common.development,
            session_settings: session,
            send_rate,
            max_connections_per_user,
            door,
            timers: Timers::start(),
            flushers: Flushers::start(cores, &timing),
            timing: timing.clone(),
            access,
            memberships,
            registry: Registry::default(),
            shards: shards.clone(),
            inboxes,
            topics: Topics::new(local_topics.clone(), remote_topics),
            log,
            counters: Counters::default(),
            readers: server::Readers::default(),
            caught_up: AtomicBool::new(caught_up),
        })
    };
    let (engine, shard_tasks, backing) = match backend {
        Backend::Embedded { events } => {
            let (foundation, log) =
                embedded::lay(&settings, &database, journal, &shards, receivers, tuning).await?;
            let access = Access::load(database).await?;
            let engine = engine(access, foundation.log, None, true);
            let running = embedded::Running::start(log, &engine, events);
            (engine, foundation.shards, Backing::Embedded(running))
        }
        Backend::Cluster { brokers, redis_url } => {
            let remote = RedisTopics::connect(&redis_url, &common.prefix, local_topics.clone()).await;
            let remote =
                remote.with_context(|| format!("cannot use Redis at {redis_url} (MOYIZA_REDIS_URL)"))?;
            let addresses = cluster::Addresses { brokers, redis_url, prefix: common.prefix.clone() };
            let (foundation, ground) =
                cluster::lay(addresses, &settings, &database, journal, &shards, receivers, tuning).await?;
            // Behind the place from which events are read: what is revoked in between must not be missed.
            let access = Access::load(database).await?;
            let engine = engine(access, foundation.log, Some(remote), false);
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
        self.engine.log.append_durably(Draft::message(room, sender, None, None, content)).await
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
