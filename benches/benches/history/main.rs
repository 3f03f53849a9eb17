//! What the history costs, on real servers: see `benches/history.sh`, which starts them, and `docs/history.md`.

#![allow(clippy::unwrap_used, reason = "a benchmark ends where its assumptions do")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod copy;
mod outage;
mod pages;
#[path = "../../../chat-engine/tests/harness/proxy.rs"]
mod proxy;
#[path = "../../../chat-engine/tests/harness/settings.rs"]
mod settings;
mod write;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Rows a second: COPY alone, the engine's write path, and from Kafka.
    Write {
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
    },
    /// Pages at any depth.
    Pages {
        #[arg(long, default_value_t = 10_000_000)]
        rows: u64,
    },
    /// The lag that an outage of the database leaves, and how long it takes to be gone.
    Outage {
        /// Messages a second.
        #[arg(long, default_value_t = 2_000)]
        rate: u32,
        /// How long the database is away.
        #[arg(long, default_value_t = 120)]
        seconds: u64,
    },
}

#[tokio::main]
async fn main() {
    match Arguments::parse().what {
        Some(What::Write { rows }) => write::run(rows).await,
        Some(What::Pages { rows }) => pages::run(rows).await,
        Some(What::Outage { rate, seconds }) => outage::run(rate, seconds).await,
        // Of `cargo bench` for everything, which starts no servers.
        None => println!("history: run benches/history.sh write, pages or outage"),
    }
}
