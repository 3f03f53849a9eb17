//! What a run found out.

use std::{collections::BTreeMap, fmt};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    fault::Faults,
    process::{Cpu, Memory},
};

/// The result of a run; `--json` prints it as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Connections that became subscribed.
    pub connections: u32,
    /// From the first connect to the last subscription.
    pub connect_seconds: f64,
    /// Subscribed connections a second over that time.
    pub connects_per_second: f64,
    /// Seconds in which messages were measured.
    pub measured_seconds: f64,
    /// Messages sent in that time.
    pub messages: u64,
    /// Checked deliveries in that time.
    pub deliveries: u64,
    /// Their rate.
    pub deliveries_per_second: f64,
    /// Checked deliveries of the whole run, warm-up and end too.
    pub checked: u64,
    /// From sending to delivery.
    pub delay_us: Delays,
    /// The server's, in the measured time.
    pub server_cpu: Option<CpuUse>,
    /// Our own, in the measured time.
    pub client_cpu: CpuUse,
    /// The server's.
    pub memory: Option<MemoryUse>,
    /// Memory while idle.
    pub hold: Option<Samples>,
    /// Memory while connections came and went.
    pub churn: Option<Churn>,
    /// What became of the connections that never read.
    pub slow: BTreeMap<String, u64>,
    /// What went wrong.
    pub faults: Faults,
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the usual ones")]
pub struct Delays {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl From<&Histogram<u64>> for Delays {
    fn from(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() }
    }
}

/// CPU time, and what a delivery took of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CpuUse {
    /// The time.
    #[serde(flatten)]
    pub cpu: Cpu,
    /// User and system time for one delivery.
    pub per_delivery_us: f64,
}

impl CpuUse {
    /// So much for so many deliveries.
    pub fn new(cpu: Cpu, deliveries: u64) -> Self {
        Self { cpu, per_delivery_us: cpu.total_s() * 1e6 / deliveries.max(1) as f64 }
    }
}

/// Memory before the first and after the last connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MemoryUse {
    /// Before.
    pub before: Memory,
    /// After, idle.
    pub connected: Memory,
    /// The difference in RSS for each connection, in KiB.
    pub rss_kib_per_connection: f64,
    /// The difference in private memory for each connection, in KiB.
    pub private_kib_per_connection: f64,
    /// Behind the load.
    pub end: Memory,
}

/// RSS over a time, in KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Samples {
    /// The first one.
    pub first: u64,
    /// The greatest.
    pub max: u64,
    /// The last one.
    pub last: u64,
    /// All, evenly spaced.
    pub rss_kib: Vec<u64>,
}

impl Samples {
    /// Of these.
    pub fn new(rss_kib: Vec<u64>) -> Self {
        Self {
            first: rss_kib.first().copied().unwrap_or_default(),
            max: rss_kib.iter().copied().max().unwrap_or_default(),
            last: rss_kib.last().copied().unwrap_or_default(),
            rss_kib,
        }
    }
}

/// Coming and going.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Churn {
    /// Cycles completed.
    pub cycles: u32,
    /// And how fast.
    pub cycles_per_second: f64,
    /// The server's RSS meanwhile.
    #[serde(flatten)]
    pub memory: Samples,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "connections    {} in {:.2} s, {:.0}/s",
            self.connections, self.connect_seconds, self.connects_per_second
        )?;
        if let Some(memory) = &self.memory {
            writeln!(
                f,
                "memory         {:.2} KiB RSS, {:.2} KiB private a connection; {} KiB RSS before, {} with all, {} at the end",
                memory.rss_kib_per_connection,
                memory.private_kib_per_connection,
                memory.before.rss_kib,
                memory.connected.rss_kib,
                memory.end.rss_kib
            )?;
        }
        if let Some(Samples { first, max, last, .. }) = &self.hold {
            writeln!(f, "idle           RSS {first} KiB at first, {max} at most, {last} at last")?;
        }
        if let Some(Churn { cycles, cycles_per_second, memory: Samples { first, max, last, .. } }) =
            &self.churn
        {
            writeln!(
                f,
                "churn          {cycles} cycles, {cycles_per_second:.0}/s; RSS {first} KiB at first, {max} at most, {last} at last"
            )?;
        }
        if self.measured_seconds > 0.0 {
            let Delays { p50, p90, p99, p999, max } = self.delay_us;
            writeln!(
                f,
                "deliveries     {} of {} messages in {:.1} s, {:.0}/s; {} checked in all",
                self.deliveries,
                self.messages,
                self.measured_seconds,
                self.deliveries_per_second,
                self.checked
            )?;
            writeln!(f, "delay          p50 {p50} µs, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")?;
            for (whose, cpu) in [("server CPU", self.server_cpu), ("client CPU", Some(self.client_cpu))] {
                let Some(CpuUse { cpu, per_delivery_us }) = cpu else { continue };
                let Cpu { user_s, system_s } = cpu;
                writeln!(
                    f,
                    "{whose:14} {per_delivery_us:.2} µs a delivery ({user_s:.2} s user, {system_s:.2} s system)"
                )?;
            }
        }
        for (what, count) in &self.slow {
            writeln!(f, "slow           {count}: {what}")?;
        }
        if self.faults.is_empty() {
            return writeln!(f, "faults         none");
        }
        for (kind, count) in &self.faults.counts {
            writeln!(f, "FAULT          {kind}: {count}")?;
        }
        for fault in &self.faults.first {
            writeln!(f, "  {fault}")?;
        }
        Ok(())
    }
}
