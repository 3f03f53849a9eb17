//! The launcher.

use std::process::ExitCode;

use anyhow::Result;
use moyiza::{
    cli::{Cli, Command},
    cluster, embedded, log, seed, with_servers,
};
use shared::{config::LogFormat, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    match run(shared::config::parse_or_exit()).await {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<u8> {
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(run) => {
            telemetry::init(&run.common.log, run.common.log_format);
            embedded::run(*run).await?;
        }
        Command::Cluster(run) => {
            telemetry::init(&run.common.log, run.common.log_format);
            cluster::run(*run).await?;
        }
        Command::Seed(options) => seed::run(options).await?,
        Command::Log(log) => {
            telemetry::init(log::FILTER, LogFormat::Text);
            log::run(log).await?;
        }
        Command::WithServers(options) => {
            telemetry::init("warn,moyiza=info", LogFormat::Text);
            return with_servers::run(options).await;
        }
    }
    Ok(0)
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
