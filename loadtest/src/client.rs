//! The clients: a few threads, each with an epoll and its share of the connections. All that a room needs is in
//! one thread, so nothing is locked; a connection holds no buffers while nothing is incomplete.

mod connecting;
mod connection;
mod desk;
mod worker;

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    time::{Duration, Instant},
};

pub(crate) use worker::{Tally, Worker};

/// What everybody is doing. Each follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Connecting, then idle.
    Connect,
    /// Coming and going, while the others are idle.
    Churn,
    /// Sending.
    Load,
    /// No more is sent; waiting for what is on its way.
    Drain,
    /// Looking at what became of everybody, then closing.
    Finish,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Connect, Self::Churn, Self::Load, Self::Drain, Self::Finish];
}

/// A worker has come to the end of a phase that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done(pub(crate) Phase);

/// What the main thread and the workers tell each other.
#[derive(Debug)]
pub(crate) struct Control {
    phase: AtomicU8,
    measuring: AtomicBool,
    /// Checked deliveries so far, of each worker.
    deliveries: Vec<AtomicU64>,
    /// Messages sent so far, of each worker.
    messages: Vec<AtomicU64>,
}

impl Control {
    pub(crate) fn new(workers: usize) -> Self {
        let counters = || (0..workers).map(|_| AtomicU64::new(0)).collect();
        Self {
            phase: AtomicU8::new(0),
            measuring: AtomicBool::new(false),
            deliveries: counters(),
            messages: counters(),
        }
    }

    /// To be followed by waking the workers.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    pub(crate) fn set_measuring(&self, measuring: bool) {
        self.measuring.store(measuring, Ordering::Relaxed);
    }

    fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    fn publish(&self, worker: usize, deliveries: u64, messages: u64) {
        self.deliveries[worker].store(deliveries, Ordering::Relaxed);
        self.messages[worker].store(messages, Ordering::Relaxed);
    }

    /// Of all workers.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Of all workers.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// Ends each wait, so that slow things (heart-beats, timeouts) are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Spreads a number over workers, the first ones getting the rest.
fn share_of(total: u32, worker: u32, workers: u32) -> u32 {
    total / workers + u32::from(worker < total % workers)
}

/// Whether a moment has come, and if not how long until it does.
fn until(moment: Instant, now: Instant) -> Duration {
    moment.saturating_duration_since(now)
}
