//! The launcher's command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use moyiza::with_servers::{self, WithServers};
use shared::config::LogFormat;

/// Moyiza: hobby meetups with a chat room each.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command with throw-away PostgreSQL, Redis and Kafka servers
    WithServers(WithServers),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = shared::config::parse_or_exit();
    match run(cli).await {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::WithServers(options) => {
            shared::telemetry::init("warn,moyiza=info", LogFormat::Text);
            with_servers::run(options).await
        }
    }
}

/// An error and its causes on one line. Some errors tell their cause themselves: nothing is said twice.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| cause.to_string().replace('\n', " ")) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}
