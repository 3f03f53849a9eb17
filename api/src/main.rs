//! The api alone, as one node of a cluster.

use anyhow::Context as _;
use api::{EventSink, Settings};
use clap::Parser;
use shared::{
    config::{ApiSettings, CommonSettings, parse_or_exit},
    database,
    names::Topics,
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

/// Moyiza's api: accounts and meetups over REST, and the web page.
///
/// Every setting can also be given in the environment or in moyiza.toml.
#[derive(Parser)]
#[command(name = "api", version)]
struct Arguments {
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    common: CommonSettings,
}

#[tokio::main]
async fn main() {
    let Arguments { api, common } = parse_or_exit();
    telemetry::init(&common.log, common.log_format);
    if let Err(error) = run(Settings { api, common }).await {
        // One line, for a person: the chain of causes, not a debug print.
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let url = settings.common.database_url.clone().context("DATABASE_URL is not set: which PostgreSQL?")?;
    let brokers = settings.common.kafka_brokers.clone().context(
        "MOYIZA_KAFKA_BROKERS is not set: an api that runs alone reaches its engines through Kafka \
         (`moyiza run` is the one process that needs none)",
    )?;
    let topics = Topics::new(settings.common.prefix.clone());
    // Before anything that takes time: a stop that is asked for early counts.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let database = database::open(&url, settings.common.database_connections).await?;
    let mut running = api::start(settings, database.clone(), EventSink::Kafka { brokers, topics }).await?;
    let outcome = tokio::select! {
        error = running.finished() => Err(error),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    running.stop().await;
    database.close().await;
    outcome
}
