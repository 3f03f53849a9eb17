//! `chat-engine`: one node of a cluster.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use chat_engine::{Backend, Settings, start};
use clap::Parser;
use shared::{
    config::{self, CommonSettings, EngineSettings},
    database, limits, telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

/// How long the node may take to leave: less than the half minute that Kubernetes gives it. What it cannot say to a server
/// that is away is nothing that anybody was promised: another node takes its readers over from where they came.
const DRAIN: Duration = Duration::from_secs(25);

/// One node of the chat engine, on PostgreSQL, Kafka and Redis. (`moyiza` runs everything in one process.)
///
/// Every setting can also be given in the environment or in moyiza.toml where it is started; the command line comes
/// first, then the environment, then the file.
#[derive(Parser)]
#[command(name = "chat-engine", version)]
struct Arguments {
    #[command(flatten)]
    common: CommonSettings,
    #[command(flatten)]
    engine: EngineSettings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { common, engine } = config::parse_or_exit();
    telemetry::init(&common.log, common.log_format);
    limits::raise_open_files();
    match run(Settings { engine, common }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            // At once: threads that wait for a server that is away would be waited for.
            std::process::exit(1)
        }
    }
}

async fn run(settings: Settings) -> Result<()> {
    let common = &settings.common;
    let url = common.database_url.as_deref().context("DATABASE_URL is not set (see --help)")?;
    let backend = Backend::Cluster {
        brokers: common.kafka_brokers.clone().context("MOYIZA_KAFKA_BROKERS is not set (see --help)")?,
        redis_url: common.redis_url.clone().context("MOYIZA_REDIS_URL is not set (see --help)")?,
    };
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let database = database::open(url, common.database_connections).await?;
    let mut running = start(settings, database, backend).await?;
    // For whoever asked for port 0.
    println!("chat-engine is listening on {}", running.addr());
    let failure = tokio::select! {
        // Each ends the node: none of them is ever awaited again.
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        error = running.finished() => Some(error),
    };
    if let Some(error) = &failure {
        tracing::error!(cause = format!("{error:#}"), "stopping");
    }
    let drained = tokio::select! {
        // The node is over, whichever is first.
        drained = tokio::time::timeout(DRAIN, running.stop()) => drained.is_ok(),
        _ = interrupt.recv() => false,
        _ = terminate.recv() => false,
    };
    match failure {
        Some(error) => Err(error),
        None if drained => Ok(()),
        None => bail!("stopped before everything was drained"),
    }
}
