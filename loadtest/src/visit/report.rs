//! What came, and what it took.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Used, Visits};
use crate::{fault::Faults, process::Memory, report::Delays};

/// What came to all of them.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) arrived: u32,
    pub(super) gone: u32,
    pub(super) goings: u64,
    pub(super) said: u64,
    pub(super) bytes: u64,
    /// MESSAGEs, by the `type` of their bodies.
    events: BTreeMap<Box<[u8]>, u64>,
    /// Microseconds from SUBSCRIBE to the last RECEIPT; from connecting where that was what it began with.
    rooms: Histogram<u64>,
    inbox: Histogram<u64>,
    pub(super) faults: Faults,
}

impl Default for Counts {
    fn default() -> Self {
        // A minute in microseconds with three digits is a histogram that there can be.
        let histogram = || Histogram::new_with_max(60_000_000, 3).expect("bounds are right");
        Self {
            arrived: 0,
            gone: 0,
            goings: 0,
            said: 0,
            bytes: 0,
            events: BTreeMap::new(),
            rooms: histogram(),
            inbox: histogram(),
            faults: Faults::default(),
        }
    }
}

impl Counts {
    /// Whether everybody is there who ever will be.
    pub(super) fn have_arrived(&self, people: u32) -> bool {
        self.arrived + self.gone >= people
    }

    pub(super) fn answered(&mut self, is_inbox: bool, after: Duration) {
        let histogram = if is_inbox { &mut self.inbox } else { &mut self.rooms };
        histogram.saturating_record(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn heard(&mut self, body: &[u8]) {
        let kind =
            body.strip_prefix(b"{\"type\":\"").and_then(|rest| rest.split(|byte| *byte == b'"').next());
        let kind = kind.unwrap_or(b"?");
        match self.events.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.events.insert(kind.into(), 1)),
        }
    }

    /// What came since it was last taken; who was there is still there.
    pub(super) fn take(&mut self) -> Self {
        let next =
            Self { arrived: self.arrived, gone: self.gone, faults: self.faults.clone(), ..Self::default() };
        std::mem::replace(self, next)
    }
}

/// A stretch of time.
#[derive(Clone, Debug, Serialize)]
pub struct Stretch {
    /// How long it was.
    pub seconds: f64,
    /// Messages that were sent.
    pub said: u64,
    /// Comings to rooms.
    pub comings: u64,
    /// Goings.
    pub goings: u64,
    /// From SUBSCRIBE of the rooms to the last RECEIPT.
    pub rooms_us: Delays,
    /// From connecting to the RECEIPT of the list of rooms.
    pub inbox_us: Delays,
    /// MESSAGE frames that came, by the `type` of their bodies.
    pub frames: BTreeMap<String, u64>,
    /// Bytes of all STOMP frames that came.
    pub bytes: u64,
    /// CPU seconds of the servers, a second.
    pub server_cpu: f64,
    /// Their RSS at the end.
    pub server_rss_kib: Option<u64>,
    /// CPU seconds of Redis, a second.
    pub redis_cpu: Option<f64>,
    /// Its commands; `fcall` is a call of a function, and what functions do in turn is here, too.
    pub redis_calls: BTreeMap<String, u64>,
}

/// The result; `--json` prints it as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// While they connected.
    pub arrival: Stretch,
    /// While it was measured.
    pub measured: Stretch,
    /// What went wrong.
    pub faults: Faults,
}

impl Report {
    pub(super) fn new(
        visits: &Visits,
        arrival: (&Counts, &Used, &Used),
        measured: (&Counts, &Used, &Used),
    ) -> Self {
        let faults = measured.0.faults.clone();
        Self { arrival: Stretch::new(visits, arrival), measured: Stretch::new(visits, measured), faults }
    }
}

impl Stretch {
    fn new(visits: &Visits, (counts, before, after): (&Counts, &Used, &Used)) -> Self {
        let seconds = (after.at - before.at).as_secs_f64();
        let redis = before.redis.as_ref().zip(after.redis.as_ref());
        let calls = redis.map(|(before, after)| {
            let new = |(name, count): (&String, &u64)| {
                let count = count - before.calls.get(name).copied().unwrap_or_default();
                (count > 0).then(|| (name.clone(), count))
            };
            after.calls.iter().filter_map(new).collect()
        });
        let kinds = counts.events.iter();
        Self {
            seconds,
            said: counts.said,
            comings: counts.rooms.len() * u64::from(visits.each),
            goings: counts.goings,
            rooms_us: Delays::from(&counts.rooms),
            inbox_us: Delays::from(&counts.inbox),
            frames: kinds.map(|(kind, count)| (String::from_utf8_lossy(kind).into_owned(), *count)).collect(),
            bytes: counts.bytes,
            server_cpu: (after.cpu - before.cpu).total_s() / seconds,
            server_rss_kib: after.memory.map(|Memory { rss_kib, .. }| rss_kib),
            redis_cpu: redis.map(|(before, after)| (after.cpu_s - before.cpu_s) / seconds),
            redis_calls: calls.unwrap_or_default(),
        }
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |count: u64| count as f64 / self.seconds;
        writeln!(
            f,
            "  {:.1} s; {:.0} messages, {:.0} comings and {:.0} goings a second",
            self.seconds,
            each(self.said),
            each(self.comings),
            each(self.goings)
        )?;
        for (what, Delays { p50, p99, max, .. }) in [("a coming", self.rooms_us), ("the list", self.inbox_us)]
        {
            if max > 0 {
                writeln!(f, "  {what:14} p50 {p50} µs, p99 {p99}, max {max}")?;
            }
        }
        for (kind, count) in &self.frames {
            writeln!(f, "  {kind:14} {:.0} frames a second", each(*count))?;
        }
        writeln!(f, "  {:14} {:.2} MB a second", "bytes", each(self.bytes) / 1e6)?;
        write!(f, "  {:14} {:.1} % of a core", "servers", self.server_cpu * 100.0)?;
        match self.server_rss_kib {
            Some(rss) => writeln!(f, ", {rss} KiB of memory")?,
            None => writeln!(f)?,
        }
        if let Some(cpu) = self.redis_cpu {
            writeln!(f, "  {:14} {:.1} % of a core", "Redis", cpu * 100.0)?;
        }
        for (name, count) in &self.redis_calls {
            writeln!(f, "    {name:12} {:.1} a second", each(*count))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "until all were there\n{}measured\n{}", self.arrival, self.measured)?;
        if self.faults.is_empty() {
            return writeln!(f, "faults: none");
        }
        for fault in &self.faults.first {
            writeln!(f, "FAULT {fault}")?;
        }
        Ok(())
    }
}
