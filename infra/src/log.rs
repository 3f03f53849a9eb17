//! `moyiza log`: what an operator does with the message log.

use anyhow::{Context, Result};
use chat_engine::log::bump::{self, Bump, Bumped};
use clap::{Args, Subcommand};
use shared::config::CommonSettings;

/// What to do with the log.
#[derive(Clone, Debug, Subcommand)]
pub enum Log {
    /// End the log's epoch and begin the next, for another number of partitions or after the topic was lost
    ///
    /// With every engine node stopped. Closes the old topic, writes to PostgreSQL what it still holds, and makes the
    /// new one. If it is interrupted, run it again: until then nodes refuse to start.
    BumpEpoch(Box<BumpEpoch>),
}

/// How the next epoch is to be.
#[derive(Clone, Debug, Args)]
pub struct BumpEpoch {
    /// Partitions of the new topic [default: as many as the old one]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    partitions: Option<u16>,
    /// Go on although the old topic is gone, was made anew or has lost records: what was not in PostgreSQL is lost
    #[arg(long)]
    lost: bool,
    /// Where the servers are.
    #[command(flatten)]
    pub common: CommonSettings,
}

/// Does it, and says what came of it.
pub async fn run(log: Log) -> Result<()> {
    let Log::BumpEpoch(options) = log;
    let common = options.common;
    let url = common.database_url.context("DATABASE_URL is not set (see --help)")?;
    let order = Bump {
        brokers: common.kafka_brokers.context("MOYIZA_KAFKA_BROKERS is not set (see --help)")?,
        redis_url: common.redis_url.context("MOYIZA_REDIS_URL is not set (see --help)")?,
        prefix: common.prefix,
        partitions: options.partitions,
        lost: options.lost,
    };
    let database = shared::database::connect(&url, 4).await?;
    let Bumped { from, to, written } = bump::bump(&database, &order).await?;
    database.close().await;
    println!(
        "Epoch {} of the chat log has ended; {written} of its records were written to PostgreSQL now.",
        from.number
    );
    println!("Epoch {} begins, with {} partitions. Start the nodes.", to.number, to.partitions);
    if to.partitions != from.partitions {
        println!("They need MOYIZA_LOG_PARTITIONS={}.", to.partitions);
    }
    Ok(())
}
