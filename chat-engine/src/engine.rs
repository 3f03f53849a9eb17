//! What every connection of a node works with.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use dashmap::DashMap;
use shared::config::EngineSettings;
use stomp::session::SessionSettings;
use tokio::runtime::Handle;

use crate::{
    access::Access,
    connection::{CloseReason, Rate, Registry, Timers, door::Door, flusher::Flushers},
    history,
    inboxes::Inboxes,
    log::Log,
    membership::Memberships,
    server::Readers,
    shard::Shards,
    timing::Timing,
    topics::Topics,
};

/// The parts of a running node.
pub(crate) struct Engine {
    pub(crate) settings: EngineSettings,
    /// Where a thread of the node's own leaves what has to wait.
    pub(crate) runtime: Handle,
    /// Development mode.
    pub(crate) development: bool,
    pub(crate) session_settings: Arc<SessionSettings>,
    pub(crate) send_rate: Rate,
    pub(crate) max_connections_per_user: usize,
    pub(crate) door: Arc<Door>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) flushers: Flushers,
    pub(crate) access: Access,
    pub(crate) memberships: Memberships,
    pub(crate) registry: Registry,
    pub(crate) shards: Shards,
    pub(crate) inboxes: Inboxes,
    pub(crate) topics: Topics,
    pub(crate) log: Log,
    pub(crate) counters: Counters,
    pub(crate) readers: Readers,
    pub(crate) timing: Arc<Timing>,
    /// Whether the node has read the log up to where it was when the node started.
    pub(crate) caught_up: AtomicBool,
}

/// What is counted since the node started.
#[derive(Default)]
pub(crate) struct Counters {
    /// Panics that ended a connection.
    pub(crate) panics: AtomicU64,
    /// Connections that were refused at the door.
    pub(crate) turned_away: AtomicU64,
    pub(crate) history: Arc<history::metrics::Metrics>,
    closed: DashMap<&'static str, u64>,
}

impl Counters {
    /// A connection ended.
    pub(crate) fn closed(&self, reason: CloseReason) {
        *self.closed.entry(reason.name()).or_insert(0) += 1;
    }

    /// How many connections ended for each reason.
    pub(crate) fn closings(&self) -> Vec<(&'static str, u64)> {
        let mut closings: Vec<_> = self.closed.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        closings.sort_unstable();
        closings
    }
}

impl Engine {
    /// Closes every connection: the node is going down.
    pub(crate) fn go_away(&self) {
        self.registry.close_all(CloseReason::GoingAway);
    }

    /// What is counted, in Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        use std::fmt::Write as _;
        let counters = &self.counters;
        let mut out = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            // Writing to memory cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let plain = |value: u64| [(String::new(), value)];
        let inside = self.door.inside() as u64;
        metric("moyiza_connections", "gauge", "Open connections.", &plain(inside));
        metric(
            "moyiza_connections_refused_total",
            "counter",
            "Connections refused because the node or their address had too many.",
            &plain(counters.turned_away.load(Ordering::Relaxed)),
        );
        metric(
            "moyiza_connection_panics_total",
            "counter",
            "Panics, each of which ended one connection.",
            &plain(counters.panics.load(Ordering::Relaxed)),
        );
        let by_reason = |(reason, count): (&str, u64)| (format!("{{reason=\"{reason}\"}}"), count);
        let closings: Vec<_> = counters.closings().into_iter().map(by_reason).collect();
        metric("moyiza_connections_closed_total", "counter", "Ended connections by reason.", &closings);
        let (history, load) = (&counters.history, |counter: &AtomicU64| counter.load(Ordering::Relaxed));
        let totals = [
            ("moyiza_history_rows_total", "Records that this node has written to PostgreSQL.", &history.rows),
            ("moyiza_history_batches_total", "Transactions that wrote them.", &history.batches),
            ("moyiza_history_failures_total", "Attempts to write that were made again.", &history.failures),
            (
                "moyiza_history_missing_total",
                "Records that were gone from Kafka before they were written.",
                &history.missing,
            ),
            ("moyiza_dead_letters_total", "Messages that could not be history.", &history.dead_letters),
        ];
        for (name, help, counter) in totals {
            metric(name, "counter", help, &plain(load(counter)));
        }
        let help = "Records that wait in this node to be written to PostgreSQL.";
        metric("moyiza_history_gathered_records", "gauge", help, &plain(load(&history.gathered)));
        let lag = |(partition, records)| (format!("{{partition=\"{partition}\"}}"), records);
        let lags: Vec<_> = history.lags().into_iter().map(lag).collect();
        let help = "Records of the log that are not in PostgreSQL yet, by partition that this node writes.";
        metric("moyiza_history_lag_records", "gauge", help, &lags);
        metric(
            "moyiza_history_reads_total",
            "counter",
            "Pages of history that were read from the database.",
            &plain(self.shards.history_reads()),
        );
        self.timing.write(&mut out);
        out
    }
}
