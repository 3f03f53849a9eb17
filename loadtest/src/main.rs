//! The command line.

use std::{net::SocketAddr, process::ExitCode};

use clap::{Parser, Subcommand};
use loadtest::{
    compare::{Comparison, Outcome, Spread, compare},
    floor::{self, Options, Shape},
    options::{Scenario, Server},
    visit::Visits,
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
    /// People who open the app, and come to and go from their rooms: what that costs.
    Visit {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        visits: Visits,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Hold a server, or another shape of the floor, against the floor: both by turns under the same load.
    Compare {
        #[command(flatten)]
        comparison: Comparison,
        #[command(flatten)]
        scenario: Box<Scenario>,
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Be the least broker: what it does is what this machine could do.
    Floor {
        /// Where to listen; port 0 for any.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[command(flatten)]
        options: Options,
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
        Command::Visit { server, visits, json } => {
            let report = loadtest::visit::run(&visits, &server)?;
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                print!("{report}");
            }
            Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Compare { comparison, scenario, json } => print_comparison(&comparison, &scenario, json),
        Command::Floor { listen, options, shape } => {
            loadtest::process::raise_open_files();
            let listener = floor::listen(listen)?;
            println!("listening on ws://{}/ws", listener.local_addr()?);
            floor::serve(shape, listener, options)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print_comparison(comparison: &Comparison, scenario: &Scenario, json: bool) -> anyhow::Result<ExitCode> {
    let outcomes = compare(comparison, scenario, |in_flight, which, report| {
        let cpu = report.server_cpu.map_or(0.0, |cpu| cpu.per_delivery_us);
        eprintln!(
            "{in_flight} in flight  {which:6}  {:9.0} deliveries/s  {cpu:5.2} µs of CPU each  p99 {} µs  {}",
            report.deliveries_per_second,
            report.delay_us.p99,
            if report.faults.is_empty() { "no faults" } else { "FAULTS" }
        );
    })?;
    if json {
        println!("{}", serde_json::to_string(&outcomes)?);
    } else {
        for Outcome { in_flight, deliveries, cpu, .. } in &outcomes {
            for (what, Spread { min, median, max }) in [("deliveries/s", deliveries), ("CPU", cpu)] {
                println!("{in_flight} in flight, {what:12} of the floor's: {min:.2} {median:.2} {max:.2}");
            }
        }
    }
    let faultless = outcomes.iter().flat_map(|outcome| &outcome.rounds);
    let faultless =
        faultless.flat_map(|(floor, server)| [floor, server]).all(|report| report.faults.is_empty());
    Ok(if faultless { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
