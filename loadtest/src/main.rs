//! The command line.

use std::{net::SocketAddr, process::ExitCode};

use clap::{Parser, Subcommand};
use loadtest::{
    floor::{self, Options, Shape},
    options::{Scenario, Server},
};

/// A load generator for any STOMP-over-WebSocket broker.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a load and check every delivery. Exit code 1 means that the broker did something wrong.
    Run {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        scenario: Box<Scenario>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Be the least broker: what it does is what this machine could do.
    Floor {
        /// Where to listen; port 0 for any.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// One write for each message, in place of one for all that is due.
        #[arg(long)]
        write_each: bool,
        /// How it is built.
        #[arg(long, value_enum, default_value_t)]
        shape: Shape,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run { server, scenario, json } => {
            let report = loadtest::run(&scenario, &server)?;
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                print!("{report}");
            }
            Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Floor { listen, write_each, shape } => {
            loadtest::process::raise_open_files();
            let listener = floor::listen(listen)?;
            println!("listening on ws://{}/ws", listener.local_addr()?);
            floor::serve(shape, listener, Options { write_each })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
