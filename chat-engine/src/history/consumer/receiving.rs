//! From what Kafka says to batches: each offset once, in order, and what is no record out of the way.

use rdkafka::{Message as _, error::KafkaResult, message::BorrowedMessage};

use super::Consumer;
use crate::history::metrics::count;

impl Consumer {
    pub(super) fn take(&mut self, received: KafkaResult<BorrowedMessage<'_>>) {
        // Before this message: it may be of a partition that has just come.
        self.rebalance();
        let message = match received {
            Ok(message) => message,
            // librdkafka goes on by itself; what it cannot mend it says again and again.
            Err(error) => {
                tracing::warn!(%error, "consuming the log");
                return;
            }
        };
        if message.topic() != &*self.group.chat_topic {
            self.meetups.take(message.detach());
            return;
        }
        let (number, offset) = (message.partition(), message.offset().unsigned_abs());
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        if offset < partition.position {
            return;
        }
        if offset > partition.position {
            if self.errands.is_out(number) {
                partition.is_overtaken = true;
                return;
            }
            if partition.asked_again != Some(partition.position) {
                self.ask_for_low(number);
                return;
            }
        }
        partition.take(self.epoch, &message, BorrowedMessage::detach);
    }

    /// A message came that is not the next one, and Kafka's first record is `low`. Either those between are gone, or it
    /// was fetched before the last seek; the answer to another seek tells.
    pub(super) fn read_again(&mut self, number: i32, low: u64) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        let next = partition.next.max(partition.position);
        partition.position = partition.position.max(low);
        partition.asked_again = Some(partition.position);
        self.note_missing(number, next, low);
        self.seek(number);
    }

    /// Records from `next` on are gone that are no rows.
    pub(super) fn note_missing(&self, partition: i32, next: u64, low: u64) {
        let missing = low.saturating_sub(next);
        if missing > 0 {
            tracing::error!(
                partition,
                missing,
                "records are missing from the history: PostgreSQL was away for longer than Kafka keeps them"
            );
            count(&self.engine.counters.history.missing, missing);
        }
    }
}
