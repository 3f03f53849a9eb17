//! `moyiza log`: what an operator does with the message log.

mod servers;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use chat_engine::log::{
    bump::{self, Bump, BumpError, Bumped, Next},
    epoch::{self, Backend},
};
use clap::{Args, Subcommand, ValueEnum};
use shared::config::{CommonSettings, LauncherSettings};
use sqlx::PgPool;

use self::servers::Beside;
use crate::{cli::Run, database::Database, instance::Instance, servers::Store};

/// What is told while it works. It uses Redis like a node: that others have ended is what was asked for, and so is the
/// end of its own connections, of which the client warns.
pub const FILTER: &str = "warn,fred=error,chat_engine::reading::redis::lease=error";
/// How long Kafka may take to give up on the nodes of an instance that does not run any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const AGAIN: Duration = Duration::from_millis(250);

/// What to do with the log.
#[derive(Clone, Debug, Subcommand)]
pub enum Log {
    /// End the log's epoch and begin the next: for another number of partitions, after the topic was lost, or to go
    /// back to `moyiza run`
    ///
    /// With every engine node stopped. Closes the old topic, writes to PostgreSQL what it still holds, and makes the
    /// new one. If it is interrupted, run it again: until then nodes refuse to start. Servers that are not set are the
    /// instance's own, which must not run. Where no cluster has ever run there is no such log, and nothing to end.
    BumpEpoch(Box<BumpEpoch>),
}

/// How the next epoch is to be.
#[derive(Clone, Debug, Args)]
pub struct BumpEpoch {
    /// Who keeps the log from then on
    #[arg(long, value_enum, default_value_t)]
    to: To,
    /// Partitions of the new topic [default: as many as the old one]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    partitions: Option<u16>,
    /// Go on although the old topic is gone, was made anew or has lost records: what was not in PostgreSQL is lost
    #[arg(long)]
    lost: bool,
    /// Where the servers are.
    #[command(flatten)]
    pub common: CommonSettings,
    /// The instance.
    #[command(flatten)]
    pub launcher: LauncherSettings,
}

/// Who keeps the next epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum To {
    /// Kafka, for the nodes of a cluster.
    #[default]
    Kafka,
    /// PostgreSQL, for `moyiza run`.
    Embedded,
}

/// Does it, and says what came of it.
pub async fn run(log: Log) -> Result<()> {
    let Log::BumpEpoch(options) = log;
    let BumpEpoch { to, partitions, lost, common, launcher } = *options;
    let next = match (to, partitions) {
        (To::Kafka, partitions) => Next::Kafka(partitions),
        (To::Embedded, None) => Next::Embedded,
        (To::Embedded, Some(_)) => bail!("an embedded log has one partition: leave out --partitions"),
    };
    let store = Store::new(&launcher.servers_dir)?;
    // One that is not there is not made for this.
    let has_own = common.database_url.is_none() && launcher.dir.join("postgres").exists();
    let needs_own = has_own || Beside::needs_own(&common, &launcher.dir);
    let instance = if needs_own { Some(Instance::open(&launcher.dir)?) } else { None };
    let directory = instance.as_ref().map_or(&*launcher.dir, Instance::directory);
    let database = match &common.database_url {
        Some(url) => Database::connect(url, 4).await?,
        None if has_own => Database::open(None, 4, &store, directory).await?,
        None => bail!("DATABASE_URL is not set (see --help)"),
    };
    let bumped = bump_on(&database.pool, &common, &store, directory, next, lost).await;
    database.stop().await;
    let Bumped { from, to, written, dead_letters } = bumped?;
    println!(
        "Epoch {} of the chat log has ended; {written} of its records were written to PostgreSQL now.",
        from.number
    );
    if dead_letters > 0 {
        println!("{dead_letters} messages in it cannot be history: they are in the dead-letter topic.");
    }
    match next {
        Next::Kafka(_) => {
            println!("Epoch {} begins, with {} partitions. Start the nodes.", to.number, to.partitions);
            if to.partitions != from.partitions {
                println!("They need MOYIZA_LOG_PARTITIONS={}.", to.partitions);
            }
        }
        Next::Embedded => {
            println!("Epoch {} begins, in PostgreSQL. `moyiza run` goes on with it.", to.number);
        }
    }
    Ok(())
}

/// For `moyiza run` on a database of the instance's own: what a cluster in the same directory left in its log is
/// brought to PostgreSQL first.
pub async fn bring_home(database: &PgPool, run: &Run, store: &Store, directory: &Path) -> Result<()> {
    let newest = epoch::newest(database).await?;
    let is_ours = run.common.database_url.is_none() && Beside::is_there(&run.common, directory);
    if !is_ours || newest.is_none_or(|(_, backend)| backend != Backend::Kafka) {
        return Ok(());
    }
    tracing::info!("a cluster ran here last: bringing the end of its log from Kafka to PostgreSQL");
    let Bumped { written, .. } = bump_on(database, &run.common, store, directory, Next::Embedded, false)
        .await
        .context("cannot bring the log of the cluster that ran here last to PostgreSQL")?;
    tracing::info!(written, "the log is in PostgreSQL from now on");
    Ok(())
}

async fn bump_on(
    database: &PgPool,
    common: &CommonSettings,
    store: &Store,
    directory: &Path,
    next: Next,
    lost: bool,
) -> Result<Bumped> {
    // Before it is asked for servers that there need not be.
    if epoch::newest(database).await?.is_none_or(|(_, backend)| backend != Backend::Kafka) {
        return Err(BumpError::NoLog.into());
    }
    let beside = Beside::start(common, store, directory).await?;
    let order = Bump {
        brokers: beside.brokers.clone(),
        redis_url: beside.redis_url.clone(),
        prefix: common.prefix.clone(),
        next,
        lost,
    };
    let began = Instant::now();
    let bumped = loop {
        match bump::bump(database, &order).await {
            // Of our own Kafka: those nodes ended with it, and it does not tell when it has given up on them.
            Err(BumpError::Running(..)) if beside.is_own_kafka() && began.elapsed() < PATIENCE => {
                tokio::time::sleep(AGAIN).await;
            }
            outcome => break outcome,
        }
    };
    beside.stop().await;
    Ok(bumped?)
}
