//! `chaos`: see `make chaos`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use chaos::run::{Options, run};
use clap::Parser;

/// Breaks a cluster of its own at random and checks that nothing acknowledged is lost, repeated or out of order.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
struct Arguments {
    /// How long faults come, in seconds; from 60 on every kind of fault fits
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(60..))]
    seconds: u64,
    /// Which faults come when, and how clients behave
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients
    #[arg(long, default_value_t = 300)]
    clients: usize,
    /// Rooms that they share
    #[arg(long, default_value_t = 30)]
    rooms: usize,
    /// Engines
    #[arg(long, default_value_t = 3)]
    engines: usize,
    /// The mean time between two things that a client does, in milliseconds
    #[arg(long, default_value_t = 3_000)]
    pace_ms: u64,
    /// Where fetched servers are kept
    #[arg(long, default_value = ".servers")]
    servers_dir: PathBuf,
    /// Where the journal and the engines' logs go; what is there is removed
    #[arg(long, default_value = "target/chaos")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).init();
    shared::limits::raise_open_files();
    match chaos(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn chaos(arguments: Arguments) -> Result<bool> {
    let options = Options {
        length: Duration::from_secs(arguments.seconds),
        seed: arguments.seed,
        clients: arguments.clients,
        rooms: arguments.rooms,
        engines: arguments.engines,
        pace: Duration::from_millis(arguments.pace_ms),
        store: arguments.servers_dir,
        out: std::path::absolute(arguments.out)?,
    };
    let outcome = run(&options).await?;
    outcome.print();
    Ok(outcome.is_good())
}
