//! When a batch is written, and what follows from it: the reading state is told, or the partition finds its place anew.

use std::mem::take;

use tokio::time::Instant;

use super::{
    BATCH_BYTES, Consumer,
    partition::Batch,
    teller::{Tell, Told},
    writer::{Outcome, Work},
};
use crate::history::Stretch;

impl Consumer {
    /// Starts to write every batch that has gathered for long enough.
    pub(super) fn write_due(&mut self) {
        let (now, gather) = (Instant::now(), self.gather());
        for (number, partition) in &mut self.partitions {
            let Some(since) = partition.batch.since else { continue };
            let is_full = partition.batch.len() >= self.batch || partition.batch.bytes >= BATCH_BYTES;
            if partition.writing.is_some() || !(is_full || since + gather <= now) {
                continue;
            }
            let Batch { records, poison, to, .. } = take(&mut partition.batch);
            let stretch =
                Stretch { epoch: self.epoch, partition: partition.number, from: partition.next, to };
            let work = Work { stretch, told: partition.told, records, poison };
            let (writer, number, stay) = (self.writer.clone(), *number, partition.stay);
            partition.writing = Some(self.writes.spawn(async move {
                let outcome = writer.write(&work).await;
                (number, stay, work, outcome)
            }));
        }
    }

    pub(super) fn written(&mut self, number: i32, stay: u64, work: Work, outcome: Outcome) {
        let is_untold = self.is_untold();
        let Some(partition) = self.partitions.get_mut(&number).filter(|partition| partition.stay == stay)
        else {
            return;
        };
        partition.writing = None;
        if outcome == Outcome::Lost {
            tracing::info!(partition = number, "somebody else has written this partition");
            self.forget(number);
            return;
        }
        let to = work.stretch.to;
        partition.next = partition.next.max(to);
        self.engine.counters.history.reached(number, partition.next);
        if is_untold && self.teller.is_away() && !partition.behind {
            tracing::warn!(
                partition = number,
                from = partition.told,
                "the reading state falls behind the history"
            );
            partition.behind = true;
        }
        if partition.behind {
            self.catch_up();
        } else {
            partition.telling += 1;
            self.teller.tell(Tell { partition: number, stay, to, records: work.records });
        }
    }

    /// The reading state has been told of a batch.
    pub(super) fn hear(&mut self, told: &Told) {
        let known = self.told.entry(told.partition).or_default();
        *known = told.to.max(*known);
        if let Some(partition) = self.partitions.get_mut(&told.partition)
            && partition.stay == told.stay
        {
            partition.telling -= 1;
            partition.told = told.to.max(partition.told);
        }
        self.catch_up();
    }

    /// Once the reading state is back, partitions that it has missed records of are read from there again.
    fn catch_up(&mut self) {
        if self.teller.is_away() || self.teller.waiting() > 0 {
            return;
        }
        let due: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.behind && partition.writing.is_none())
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            tracing::info!(partition = number, "the reading state is back, and told what it has missed");
            self.forget(number);
        }
    }
}
