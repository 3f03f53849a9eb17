//! Servers and engines, each engine with ways of its own to every server.

mod engine;
mod inject;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
pub use engine::{Engine, Links};
use moyiza::servers::{
    Kafka, Postgres, Redis, Scratch, Store, child::Child, kafka::Listener, postgres::Keep,
};
use tokio::sync::Mutex;

use crate::{journal::Journal, schedule::BROKERS};

/// The database everybody uses.
const DATABASE: &str = "moyiza";
/// Begins every topic.
pub const PREFIX: &str = "chaos.";

/// A cluster, all its own, on free ports.
///
/// Every server has a lock of its own, which is held while it is killed, frozen or started again, and never while
/// somebody uses it.
#[derive(Debug)]
pub struct Cluster {
    postgres: Mutex<Postgres>,
    redis: Mutex<Redis>,
    kafka: Mutex<Kafka>,
    engines: Vec<Engine>,
    /// For those who are no engine: the servers themselves.
    database_url: String,
    brokers: String,
    journal: Arc<Journal>,
    // Last, so that everything has ended when it is removed.
    _scratch: Scratch,
}

impl Cluster {
    /// Starts the servers, in a scratch directory of `store`, and gets ready for so many engines; none is started.
    /// `binary` is the engine; `settings` are added to its command line.
    pub async fn start(
        store: &Store,
        binary: &Path,
        engines: usize,
        settings: &[String],
        journal: Arc<Journal>,
    ) -> Result<Self> {
        ensure!(binary.is_file(), "{} is missing: run `cargo build --workspace --bins`", binary.display());
        let scratch = Scratch::new(store).await?;
        let directory = scratch.path();
        let mut links = Vec::new();
        for _ in 0..engines {
            links.push(Links::new(BROKERS).await?);
        }
        let listeners: Vec<_> = links
            .iter()
            .enumerate()
            .map(|(number, links)| Listener { name: listener(number), advertised: links.kafka.ports() })
            .collect();
        let brokers = u8::try_from(BROKERS)?;
        let (postgres, redis, kafka) = tokio::try_join!(
            Postgres::start(store, directory, Keep::Killed),
            Redis::start(store, directory, true),
            Kafka::start_with(store, directory, brokers, &listeners),
        )?;
        make_database(&postgres.url("postgres")).await?;
        let mut running = Vec::new();
        for (number, links) in links.into_iter().enumerate() {
            links.kafka.lead_to(&kafka.ports(&listener(number)));
            links.redis.lead_to(&[redis.port()]);
            links.postgres.lead_to(&[postgres.port()]);
            running.push(Engine::new(number, binary.to_owned(), links, settings, journal.clone())?);
        }
        Ok(Self {
            database_url: postgres.url(DATABASE),
            brokers: kafka.bootstrap(),
            postgres: Mutex::new(postgres),
            redis: Mutex::new(redis),
            kafka: Mutex::new(kafka),
            engines: running,
            journal,
            _scratch: scratch,
        })
    }

    /// The engine at `number`, from 0 on.
    ///
    /// # Panics
    /// If there is no such engine.
    pub fn engine(&self, number: usize) -> &Engine {
        &self.engines[number]
    }

    /// All of them, also those that do not run.
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// The database, by no proxy.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The brokers, by no proxy.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// What happens is noted there.
    pub const fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Waits until this many of the engines that are to run say that they are ready.
    pub async fn ready(&self) {
        for engine in self.engines.iter().filter(|engine| engine.is_wanted()) {
            engine.ready().await;
        }
    }

    /// Ends everything, whatever state it is in.
    pub async fn stop(self) {
        for engine in &self.engines {
            engine.kill().await;
        }
        self.postgres.into_inner().kill().await;
        self.redis.into_inner().child().kill().await;
        let kafka = self.kafka.into_inner();
        for broker in kafka.children() {
            Child::kill(broker).await;
        }
    }
}

/// An engine's listener on every broker.
fn listener(number: usize) -> String {
    format!("ENGINE{}", number + 1)
}

/// The engine as built with this program.
pub fn engine_binary() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let directory = executable.parent().context("where is this program?")?;
    // A test's program is one directory further down.
    let directory =
        if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    Ok(directory.join("chat-engine"))
}

async fn make_database(url: &str) -> Result<()> {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(url).await?;
    sqlx::query("create database moyiza template template0").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Between two looks at what has no event.
pub(crate) const POLL: Duration = Duration::from_millis(50);
