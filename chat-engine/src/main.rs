//! `chat-engine`: one node of a cluster.

use anyhow::{Context, Result};
use chat_engine::{Backend, Settings, start};
use clap::Parser;
use shared::{
    config::{self, CommonSettings, EngineSettings},
    database, limits, telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

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
async fn main() -> std::process::ExitCode {
    let Arguments { common, engine } = config::parse_or_exit();
    telemetry::init(&common.log, common.log_format);
    limits::raise_open_files();
    match run(Settings { engine, common }).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
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
    tokio::select! {
        // Each ends the node: none of them is ever awaited again.
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        error = running.finished() => return Err(error),
    }
    running.stop().await;
    Ok(())
}
