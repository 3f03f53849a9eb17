//! What the consumer knows of a partition, and the batch that it gathers.

use std::sync::Arc;

use rdkafka::{Message, message::OwnedMessage};
use tokio::{task::AbortHandle, time::Instant};

use crate::{
    log::{
        bump::is_probe,
        epoch::Epoch,
        kafka::codec,
        repeats::{Key, Repeats},
    },
    record::Record,
};

/// A partition that has been placed: PostgreSQL has said how far it reaches.
pub(super) struct Partition {
    /// Tells this stay from an earlier one, whose last write may still be on its way.
    pub(super) stay: u64,
    pub(super) number: u16,
    /// Rows of every lower offset are in the database.
    pub(super) next: u64,
    /// The reading state has been told of every lower offset.
    pub(super) told: u64,
    /// What comes before this only teaches what is a repeat.
    pub(super) begin: u64,
    /// The offset that is to come now.
    pub(super) position: u64,
    /// A gap before this place was asked for once more, and is there.
    pub(super) asked_again: Option<u64>,
    /// A later message came before the last seek was known to be done: fetched before it, or after, who knows.
    pub(super) is_overtaken: bool,
    pub(super) repeats: Repeats,
    pub(super) batch: Batch,
    pub(super) writing: Option<AbortHandle>,
    /// Batches that the reading state is being told of.
    pub(super) telling: usize,
    /// The reading state has missed some, and has to be told from `told` on when it is back.
    pub(super) behind: bool,
}

/// Where a partition stands.
#[derive(Debug)]
pub(super) struct Place {
    /// Its next row.
    pub(super) next: u64,
    /// What the reading state is to be told of next.
    pub(super) told: u64,
    /// The first record that is needed.
    pub(super) begin: u64,
    /// The first that Kafka has.
    pub(super) low: u64,
}

impl Partition {
    pub(super) fn new(stay: u64, epoch: u16, number: i32, place: &Place, position: u64) -> Self {
        Self {
            stay,
            // Kafka counts a topic's partitions from 0; ours has at most 1024.
            number: u16::try_from(number).unwrap_or(u16::MAX),
            next: place.next,
            told: place.told,
            begin: place.begin,
            position,
            asked_again: None,
            is_overtaken: false,
            repeats: Repeats::new(epoch),
            batch: Batch::default(),
            writing: None,
            telling: 0,
            behind: false,
        }
    }

    /// Takes the message at its position.
    pub(super) fn take<M: Message>(&mut self, epoch: Epoch, message: &M, detach: fn(&M) -> OwnedMessage) {
        let offset = message.offset().unsigned_abs();
        self.position = offset + 1;
        let decoded = codec::decode(epoch, message);
        // What is no record moves the log's time too: every reader has to have the same.
        let key = decoded.as_ref().ok().and_then(|record| Key::of(&record.draft));
        let time = message.timestamp().to_millis().unwrap_or(0);
        let first = self.repeats.take(key, epoch.seq(offset), time);
        if offset < self.begin {
            return;
        }
        match decoded {
            Ok(record) => self.batch.push(offset, Some(record).filter(|_| first.is_none())),
            Err(poison) if offset >= self.next && !is_probe(message.key(), message.payload()) => {
                self.batch.push_poison(offset, detach(message), poison.to_string());
            }
            Err(_) => self.batch.push(offset, None),
        }
    }
}

/// Consecutive records on their way to the database.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Arc<Record>>,
    /// What is no record, and why.
    pub(super) poison: Vec<(OwnedMessage, String)>,
    /// The offset behind the last.
    pub(super) to: u64,
    pub(super) bytes: usize,
    /// When its first one came.
    pub(super) since: Option<Instant>,
}

impl Batch {
    /// Takes what lies at `offset`; `None` for a repeat, which nobody needs but which the next offset passes.
    pub(super) fn push(&mut self, offset: u64, record: Option<Record>) {
        self.since.get_or_insert_with(Instant::now);
        self.to = offset + 1;
        if let Some(record) = record {
            self.bytes += record.draft.body.len();
            self.records.push(Arc::new(record));
        }
    }

    pub(super) fn push_poison(&mut self, offset: u64, message: OwnedMessage, reason: String) {
        self.push(offset, None);
        self.bytes += message.payload().map_or(0, <[u8]>::len);
        self.poison.push((message, reason));
    }

    pub(super) fn len(&self) -> usize {
        self.records.len() + self.poison.len()
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Some(writing) = &self.writing {
            writing.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;

    use super::*;
    use crate::{log::repeats::WINDOW_MS, record::Draft};

    const EPOCH: Epoch = Epoch { number: 1, partitions: 1 };

    /// What lies at `offset`, stamped so many milliseconds after the first: a message with this client-id, or no record.
    fn message(offset: i64, after_ms: i64, client_id: Option<&str>) -> OwnedMessage {
        let (room, user) = (1.try_into().unwrap(), 2.try_into().unwrap());
        let draft = client_id.map(|id| Draft::message(room, user, Some(id.into()), None, "x"));
        let headers = draft.as_ref().map(codec::headers);
        let body = draft.map_or_else(|| b"poison".to_vec(), |draft| draft.body.to_vec());
        let time = Timestamp::LogAppendTime(1_800_000_000_000 + after_ms);
        OwnedMessage::new(Some(body), Some(b"1".to_vec()), "log".to_owned(), time, 0, offset, headers)
    }

    fn partition(begin: u64) -> Partition {
        let place = Place { next: begin, told: begin, begin, low: 0 };
        Partition::new(1, EPOCH.number, 0, &place, 0)
    }

    /// The offsets that become rows.
    fn rows(partition: &mut Partition, messages: &[OwnedMessage]) -> Vec<u64> {
        for message in messages {
            partition.take(EPOCH, message, OwnedMessage::clone);
        }
        partition.batch.records.iter().map(|record| record.seq.offset()).collect()
    }

    #[test]
    fn what_is_no_record_moves_the_time_in_which_a_repeat_is_one() {
        let half = WINDOW_MS / 2;
        // A leader whose clock is behind does not turn the log's time back.
        let mut log = [message(0, 0, Some("a")), message(1, half, None), message(2, half, Some("a"))];
        let mut whole = partition(0);
        assert_eq!(rows(&mut whole, &log), [0]);
        assert_eq!(whole.batch.poison.len(), 1);
        log[1] = message(1, WINDOW_MS, None);
        assert_eq!(rows(&mut partition(0), &log), [0, 2]);
        // Also where it is read only to know what is a repeat.
        assert_eq!(rows(&mut partition(2), &log), [2]);
        let mut late = partition(2);
        log[1] = message(1, half, None);
        assert_eq!(rows(&mut late, &log), [0_u64; 0]);
        assert_eq!((late.batch.poison.len(), late.batch.to), (0, 3), "the offset moves on");
    }
}
