//! What the history counts since the node started.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// For the node's metrics.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) rows: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Records that were gone from Kafka before they were rows.
    pub(crate) missing: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    /// Records in batches that are not being written yet.
    pub(crate) gathered: AtomicU64,
    partitions: Mutex<BTreeMap<i32, Reach>>,
    /// A partition has got further, or is not this node's any more.
    moved: Notify,
}

/// How far a partition of this node has got.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    next: u64,
    end: u64,
}

impl Metrics {
    /// Rows of every offset before `next` are in the database.
    pub(super) fn reached(&self, partition: i32, next: u64) {
        let mut partitions = self.partitions.lock();
        let reach = partitions.entry(partition).or_default();
        *reach = Reach { next, end: reach.end.max(next) };
        drop(partitions);
        self.moved.notify_waiters();
    }

    /// Waits until each of these partitions has got to its offset, or is another node's.
    pub(super) async fn reach(&self, ends: &[(i32, u64)]) {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            // From before the look: what comes in between is not missed.
            moved.as_mut().enable();
            if self.has_reached(ends) {
                return;
            }
            moved.await;
        }
    }

    fn has_reached(&self, ends: &[(i32, u64)]) -> bool {
        let partitions = self.partitions.lock();
        ends.iter().all(|(partition, end)| partitions.get(partition).is_none_or(|reach| reach.next >= *end))
    }

    /// The partition ends before `end`.
    pub(super) fn ends(&self, partition: i32, end: u64) {
        if let Some(reach) = self.partitions.lock().get_mut(&partition) {
            reach.end = end.max(reach.next);
        }
    }

    /// It is another node's now.
    pub(super) fn lost(&self, partition: i32) {
        self.partitions.lock().remove(&partition);
        self.moved.notify_waiters();
    }

    /// The partitions of this node, and how many records of each are no rows yet.
    pub(crate) fn lags(&self) -> Vec<(i32, u64)> {
        self.partitions.lock().iter().map(|(partition, reach)| (*partition, reach.end - reach.next)).collect()
    }
}

/// One more, or several.
pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
