//! How long the parts of a message's way take, for `/metrics`.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper ends of the buckets, in microseconds: about √2 apart where messages should be, wider beyond.
const BOUNDS: [u64; 26] = [
    50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000,
    30_000, 50_000, 70_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
];

/// A histogram that any thread may add to.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, then those beyond the last.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Adds one duration.
    pub(crate) fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Appends the samples of one histogram in Prometheus' text format; `label` names the part.
    fn write(&self, out: &mut String, name: &str, label: &str) {
        let mut count = 0;
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS.iter().map(Some).chain([None])) {
            count += bucket.load(Ordering::Relaxed);
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |us| seconds(*us));
            // Writing to memory cannot fail, here and below.
            let _ = writeln!(out, "{name}_bucket{{{label},le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(out, "{name}_sum{{{label}}} {}", seconds(self.sum_us.load(Ordering::Relaxed)));
        let _ = writeln!(out, "{name}_count{{{label}}} {count}");
    }
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// The parts of a message's way from SEND to MESSAGE and RECEIPT.
#[derive(Debug, Default)]
pub struct Timing {
    /// From the log's taking a record to its being durable. Embedded: for each transaction.
    pub(crate) append: Histogram,
    /// From the log's taking a record to this node's having read it back; records of this node with a `client-id`.
    pub(crate) read_back: Histogram,
    /// From a record's being read to its frames' being queued for everybody here.
    pub(crate) fan_out: Histogram,
    /// From a flusher's first connection's having frames to its last one's having been written, for each round.
    pub(crate) write: Histogram,
}

impl Timing {
    const NAME: &str = "moyiza_message_seconds";

    /// All of them in Prometheus' text format.
    pub(crate) fn write(&self, out: &mut String) {
        let name = Self::NAME;
        let _ = writeln!(
            out,
            "# HELP {name} How long the parts of a message's way take.\n# TYPE {name} histogram"
        );
        for (part, histogram) in [
            ("append", &self.append),
            ("read_back", &self.read_back),
            ("fan_out", &self.fan_out),
            ("write", &self.write),
        ] {
            histogram.write(out, name, &format!("part=\"{part}\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_every_bucket_that_it_fits_and_in_the_sum() {
        let timing = Timing::default();
        timing.append.note(Duration::from_micros(50));
        timing.append.note(Duration::from_micros(51));
        timing.append.note(Duration::from_mins(1));
        let mut out = String::new();
        timing.write(&mut out);
        for line in [
            r#"moyiza_message_seconds_bucket{part="append",le="0.000050"} 1"#,
            r#"moyiza_message_seconds_bucket{part="append",le="0.000070"} 2"#,
            r#"moyiza_message_seconds_bucket{part="append",le="5.000000"} 2"#,
            r#"moyiza_message_seconds_bucket{part="append",le="+Inf"} 3"#,
            r#"moyiza_message_seconds_sum{part="append"} 60.000101"#,
            r#"moyiza_message_seconds_count{part="append"} 3"#,
            r#"moyiza_message_seconds_count{part="write"} 0"#,
        ] {
            assert!(out.lines().any(|written| written == line), "{line} is not in\n{out}");
        }
    }
}
