//! The floor and another server under the same load, one after the other and again: a figure says little, the
//! ratio of two from the same minutes on the same machine says what a server costs.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use crate::{
    options::{Scenario, Server},
    report::Report,
    run,
};

/// What is compared with the floor.
#[derive(Args, Clone, Debug)]
pub struct Comparison {
    /// A running server: ws://host:port/path.
    #[arg(long, required_unless_present = "floor", conflicts_with = "floor")]
    pub url: Option<String>,
    /// Its process; may be repeated.
    #[arg(long = "server-pid")]
    pub pids: Vec<u32>,
    /// In place of a server: options of another floor, such as "--shape task-direct".
    #[arg(long, allow_hyphen_values = true)]
    pub floor: Option<String>,
    /// How often each has its turn.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Numbers of messages in flight in a room, each compared for itself.
    #[arg(long, default_value = "1,8", value_delimiter = ',')]
    pub each_in_flight: Vec<u32>,
}

/// The outcome for one number of messages in flight.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// That number.
    pub in_flight: u32,
    /// The server's deliveries a second divided by the floor's.
    pub deliveries: Spread,
    /// The floor's CPU time for a delivery divided by the server's.
    pub cpu: Spread,
    /// Both reports of every round, the floor's first.
    pub rounds: Vec<(Report, Report)>,
}

/// Ratios over the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the usual ones")]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    fn of(mut ratios: Vec<f64>) -> Self {
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.len() / 2;
        let median = match ratios[..] {
            [] => return Self::default(),
            _ if ratios.len().is_multiple_of(2) => f64::midpoint(ratios[middle - 1], ratios[middle]),
            _ => ratios[middle],
        };
        Self { min: ratios[0], median, max: ratios[ratios.len() - 1] }
    }
}

/// Runs all rounds; tells of each as it ends.
pub fn compare(
    comparison: &Comparison,
    scenario: &Scenario,
    mut tell: impl FnMut(u32, &str, &Report),
) -> anyhow::Result<Vec<Outcome>> {
    ensure!(scenario.rate.is_none(), "a fixed rate is the same for both: there is nothing to compare");
    let mut outcomes = Vec::new();
    for &in_flight in &comparison.each_in_flight {
        let scenario = Scenario { in_flight, ..scenario.clone() };
        let mut rounds = Vec::new();
        for _ in 0..comparison.rounds {
            let floor = Floor::start("")?;
            let ours = run(&scenario, &floor.server)?;
            drop(floor);
            tell(in_flight, "floor", &ours);
            let theirs = match (&comparison.url, &comparison.floor) {
                (Some(url), _) => {
                    run(&scenario, &Server { urls: vec![url.clone()], pids: comparison.pids.clone() })?
                }
                (None, options) => {
                    run(&scenario, &Floor::start(options.as_deref().unwrap_or_default())?.server)?
                }
            };
            tell(in_flight, "server", &theirs);
            rounds.push((ours, theirs));
        }
        let ratios = |ratio: fn(&Report, &Report) -> Option<f64>| {
            Spread::of(rounds.iter().filter_map(|(floor, server)| ratio(floor, server)).collect())
        };
        outcomes.push(Outcome {
            in_flight,
            deliveries: ratios(|floor, server| {
                Some(server.deliveries_per_second / floor.deliveries_per_second)
            }),
            cpu: ratios(|floor, server| {
                Some(floor.server_cpu?.per_delivery_us / server.server_cpu?.per_delivery_us)
            }),
            rounds,
        });
    }
    Ok(outcomes)
}

/// A floor in a process of its own, so that its CPU time is its own.
struct Floor {
    process: Child,
    server: Server,
}

impl Floor {
    fn start(options: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program has no path")?;
        let mut process = Command::new(program)
            .arg("floor")
            .args(options.split_whitespace())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the floor")?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let pids = vec![process.id()];
        // Held first: it ends the process if this fails.
        let mut floor = Self { process, server: Server { urls: Vec::new(), pids } };
        floor.server.urls.push(url.context("the floor did not say where it listens")?);
        Ok(floor)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_ratios_is_told() {
        let spread = Spread::of(vec![0.9, 0.7, 0.8]);
        assert_eq!(spread, Spread { min: 0.7, median: 0.8, max: 0.9 });
        assert!((Spread::of(vec![0.5, 1.0]).median - 0.75).abs() < 1e-9);
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
