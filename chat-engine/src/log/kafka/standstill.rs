//! Whether the tail stands still while the log goes on.
//!
//! librdkafka can lock itself up for good, without a word, when a broker goes while another answers how far an offset is
//! good (confluentinc/librdkafka#5476). What the consumer has fetched last says nothing then, nor does asking it anything:
//! another client asks the brokers.

use std::time::Duration;

use rdkafka::producer::Producer as _;
use tokio::time::{MissedTickBehavior, interval};

use super::KafkaLog;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(10);
/// Looks in a row at which the tail was at the same place, and the log further. Not a time: a machine that was asleep has
/// not stood still.
const LOOKS: u32 = 4;
/// How long a broker may take to say where a partition ends. One that does not says nothing of the tail.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a partition was found.
#[derive(Clone, Debug, Default)]
struct Standing {
    at: u64,
    looks: u32,
}

impl Standing {
    /// The tail is at `at`, and the log had got to `end`. Whether it stands still.
    fn look(&mut self, at: u64, end: u64) -> bool {
        if at >= end || at != self.at {
            *self = Self { at, looks: 0 };
        }
        self.looks += u32::from(at < end);
        self.looks > LOOKS
    }
}

impl KafkaLog {
    /// Ends when this node's tail stands still though the log goes on, and says where.
    pub(crate) async fn stands_still(&self) -> String {
        let mut standings = vec![Standing::default(); self.0.epoch.partitions.into()];
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            for (partition, standing) in (0..).zip(&mut standings) {
                let Some(end) = self.end_by_producer(partition).await else { continue };
                let at = self.0.deliveries.window.tail(partition);
                if standing.look(at, end) {
                    return format!("it stands still at {}/{partition}, record {at} of {end}", self.0.topic);
                }
            }
        }
    }

    async fn end_by_producer(&self, partition: u16) -> Option<u64> {
        let (producer, topic) = (self.0.producer.read().clone(), self.0.topic.clone());
        let end = tokio::task::spawn_blocking(move || {
            producer.client().fetch_watermarks(&topic, partition.into(), PATIENCE)
        });
        match end.await {
            // Offsets are not negative.
            Ok(Ok((_, end))) => Some(end.unsigned_abs()),
            Ok(Err(error)) => {
                tracing::debug!(%error, partition, "the end of the log is not known");
                None
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_behind_at_the_same_place_for_long_stands_still() {
        let mut standing = Standing::default();
        let mut looks = |at, end| (0..20).position(|_| standing.look(at, end));
        assert_eq!(looks(7, 7), None, "a silent log");
        assert_eq!(looks(7, 9), Some(4));
        let mut standing = Standing::default();
        for at in 0..100 {
            assert!((0..3).all(|_| !standing.look(at, 1_000)), "slow");
        }
        // It was behind each time, and had come there each time.
        assert!((0..50).all(|at| !standing.look(at, 50) && !standing.look(at, at)));
    }
}
