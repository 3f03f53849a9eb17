//! `moyiza run`: api, engine and their database, in one process.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, anyhow};
use shared::{event, limits};

use crate::{
    address,
    cli::Run,
    database::Database,
    demo,
    instance::{Instance, Mode, Record},
    log,
    servers::Store,
    stop::StopSignals,
};

/// How long each part may take to drain before it is cut off.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs until a signal asks to stop, or a part fails.
pub async fn run(run: Run) -> Result<()> {
    let mut signals = StopSignals::new()?;
    limits::raise_open_files();
    let instance = Instance::open(&run.launcher.dir)?;
    let run = settle(run)?;
    let mut parts = tokio::select! {
        parts = Parts::start(&instance, &run) => parts?,
        // What was started so far ends as it is dropped; PostgreSQL comes through that unharmed.
        _ = signals.next() => return Ok(()),
    };
    announce(run.api.api_addr);
    let failure = tokio::select! {
        _ = signals.next() => None,
        error = parts.failed() => Some(error),
    };
    if let Some(error) = &failure {
        // At once: what the other parts say of it meanwhile is not the cause.
        tracing::error!(cause = format!("{error:#}"), "stopping");
    } else {
        tracing::info!("stopping");
    }
    tokio::select! {
        () = parts.stop() => {}
        _ = signals.next() => return Err(anyhow!("stopped before everything was drained")),
    }
    failure.map_or(Ok(()), Err)
}

/// The last line of a start.
pub fn announce(api: SocketAddr) {
    println!("moyiza is ready at http://{}", address::local_host_and_port(api));
}

/// Fills in what depends on other settings, and checks the ports.
fn settle(mut run: Run) -> Result<Run> {
    run.api.api_addr = address::settle(run.api.api_addr, "MOYIZA_API_ADDR")?;
    run.engine.engine_addr = address::settle(run.engine.engine_addr, "MOYIZA_ENGINE_ADDR")?;
    if run.api.engine_url.is_none() {
        let engine = run.engine.engine_addr;
        // On its usual port the page finds the engine on whatever host it was itself loaded from.
        if engine.port() != 8081 {
            run.api.engine_url = Some(format!("ws://{}/ws", address::local_host_and_port(engine)));
        }
    }
    if run.engine.origins.is_empty() {
        run.engine.origins = address::origins(&[run.api.api_addr]);
    }
    Ok(run)
}

/// What runs.
struct Parts {
    database: Database,
    services: Services,
}

/// What runs on the database.
struct Services {
    engine: chat_engine::Running,
    api: api::Running,
}

impl Parts {
    async fn start(instance: &Instance, run: &Run) -> Result<Self> {
        let store = Store::new(&run.launcher.servers_dir)?;
        let url = run.common.database_url.as_deref();
        let connections = run.common.database_connections;
        let database = Database::open(url, connections, &store, instance.directory()).await?;
        let services = async {
            log::bring_home(&database.pool, run, &store, instance.directory()).await?;
            Services::start(&database, instance, run).await
        };
        match services.await {
            Ok(services) => Ok(Self { database, services }),
            Err(error) => {
                database.stop().await;
                Err(error)
            }
        }
    }

    async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            error = self.services.api.finished() => error,
            error = self.services.engine.finished() => error,
            error = self.database.failed() => error,
        }
    }

    /// The api first: nobody makes new events then; the database last.
    async fn stop(self) {
        drained("the api", self.services.api.stop()).await;
        drained("the engine", self.services.engine.stop()).await;
        self.database.stop().await;
    }
}

impl Services {
    async fn start(database: &Database, instance: &Instance, run: &Run) -> Result<Self> {
        let pool = || database.pool.clone();
        let common = || run.common.clone();
        let (events, received) = event::local_channel();
        let settings = chat_engine::Settings { engine: run.engine.clone(), common: common() };
        let backend = chat_engine::Backend::Embedded { events: received };
        let engine = chat_engine::start(settings, pool(), backend).await?;
        let settings = api::Settings { api: run.api.clone(), common: common() };
        let api = api::start(settings, pool(), api::EventSink::Local(events)).await?;
        if run.plants_demo() {
            let say = async |sayings| {
                for (room, sender, content) in sayings {
                    engine.post(room, sender, content).await?;
                }
                Ok(())
            };
            demo::plant(&database.pool, say).await.context("cannot plant the demo data")?;
        }
        instance.write(&Record {
            mode: Mode::Embedded,
            database_url: database.url.clone(),
            development: run.common.development,
            api: vec![format!("http://{}", run.api.api_addr)],
            engines: vec![format!("http://{}", run.engine.engine_addr)],
        })?;
        Ok(Self { engine, api })
    }
}

async fn drained(part: &str, stop: impl Future<Output = ()>) {
    if tokio::time::timeout(DRAIN, stop).await.is_err() {
        tracing::warn!(part, "did not drain in time");
    }
}
