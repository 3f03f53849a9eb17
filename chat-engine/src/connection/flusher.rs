//! Who writes what was queued for many connections: a few tasks that let everybody queue first.
//!
//! A message of a busy room is soon followed by others. Written at once, each would cost a system call for each of its
//! receivers; a flusher gives way until nobody else is about to run, and then writes everything that is due for a
//! connection in one call. The figures are in docs/performance.md.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

use super::{ConnectionId, Outbox, Outgoing};
use crate::timing::Timing;

/// Connections that are written to before others may run.
const TURN: usize = 128;

/// Connections that have something to write, gathered while frames are queued. When it is dropped they are handed to
/// their flushers.
#[derive(Debug, Default)]
pub struct Batch(pub(super) Vec<Arc<Outbox>>);

impl Batch {
    /// Queues a frame for a connection.
    pub fn push(&mut self, outbox: &Arc<Outbox>, outgoing: impl Into<Outgoing>) {
        if outbox.push(outgoing.into()) {
            self.0.push(outbox.clone());
        }
    }

    /// Hands over what was gathered.
    pub fn flush(&mut self) {
        let mut idle = Vec::new();
        for outbox in self.0.drain(..) {
            let flusher = outbox.flusher.clone();
            if flusher.add(outbox) {
                idle.push(flusher);
            }
        }
        // Only now: they would find half of it.
        for flusher in idle {
            flusher.wake();
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The flushers of a node. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Flushers(Vec<(Arc<Flusher>, AbortHandle)>);

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    due: Mutex<Round>,
    notify: Notify,
    timing: Arc<Timing>,
}

/// Connections to be written, and when the first of them came.
#[derive(Debug, Default)]
struct Round {
    outboxes: Vec<Arc<Outbox>>,
    since: Option<Instant>,
}

impl Flushers {
    /// Starts so many.
    pub(crate) fn start(count: usize, timing: &Arc<Timing>) -> Self {
        let flushers = (0..count).map(|_| {
            let flusher = Arc::new(Flusher { timing: timing.clone(), ..Flusher::default() });
            let task = tokio::spawn(run(flusher.clone()));
            (flusher, task.abort_handle())
        });
        Self(flushers.collect())
    }

    /// Whose task it is to write to this connection.
    pub(super) fn of(&self, id: ConnectionId) -> Arc<Flusher> {
        // Numbers of connections and of subscriptions are from one sequence, so parity alone could be the same for all.
        let spread = id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        // Smaller than the number of flushers.
        let index = usize::try_from(spread % self.0.len() as u64).unwrap_or(0);
        self.0[index].0.clone()
    }
}

impl Drop for Flushers {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, task)| task.abort());
    }
}

impl Flusher {
    /// Something was queued for this connection. Whether it is the first of a round, for which the flusher has to
    /// be [`wake`](Self::wake)d.
    #[must_use]
    pub(super) fn add(&self, outbox: Arc<Outbox>) -> bool {
        let mut due = self.due.lock();
        due.outboxes.push(outbox);
        let first = due.outboxes.len() == 1;
        if first {
            due.since = Some(Instant::now());
        }
        first
    }

    pub(super) fn wake(&self) {
        self.notify.notify_one();
    }
}

async fn run(flusher: Arc<Flusher>) {
    loop {
        flusher.notify.notified().await;
        // Whoever is about to queue something more goes first.
        tokio::task::yield_now().await;
        let Round { outboxes: due, since } = std::mem::take(&mut *flusher.due.lock());
        for turn in due.chunks(TURN) {
            for outbox in turn {
                // What was queued meanwhile waits for the next round.
                if outbox.flush() && flusher.add(outbox.clone()) {
                    flusher.wake();
                }
            }
            if due.len() > TURN {
                tokio::task::yield_now().await;
            }
        }
        if let Some(since) = since {
            flusher.timing.write.note(since.elapsed());
        }
    }
}
