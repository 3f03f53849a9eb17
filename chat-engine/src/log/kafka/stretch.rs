//! Records of one room out of the middle of the log, for whoever asks for what neither PostgreSQL nor this node's
//! memory has. Rare: PostgreSQL is behind, and this node began later than that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{Message as _, consumer::Consumer as _};
use shared::{RoomId, Seq, names::Topics};
use tokio::sync::Semaphore;

use super::{
    codec,
    places::{is_gone, lead, left, places, reader, watermarks},
};
use crate::{
    log::{
        StretchError,
        epoch::Epoch,
        partition_of,
        repeats::{Key, Repeats},
    },
    record::Record,
};

/// How long a stretch may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Stretches that are read at the same time. Each has a consumer of its own.
const AT_ONCE: usize = 4;

/// Reads stretches.
pub(super) struct Stretches {
    log: Place,
    permits: Semaphore,
}

/// Which log.
#[derive(Clone)]
struct Place {
    brokers: String,
    topics: Topics,
    epoch: Epoch,
}

impl Stretches {
    pub(super) fn new(brokers: &str, topics: &Topics, epoch: Epoch) -> Self {
        let log = Place { brokers: brokers.to_owned(), topics: topics.clone(), epoch };
        Self { log, permits: Semaphore::new(AT_ONCE) }
    }

    /// The records of `room` from `from` on and before `to`.
    pub(super) async fn read(
        &self,
        room: RoomId,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<Arc<Record>>, StretchError> {
        self.ask(move |log, deadline| log.read(room, from, to, deadline)).await
    }

    /// The place behind the last record of a partition.
    pub(super) async fn end(&self, partition: u16) -> Result<Seq, StretchError> {
        self.ask(move |log, deadline| log.end(partition, deadline)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Place, Instant) -> Result<T, StretchError> + Send + 'static,
    ) -> Result<T, StretchError> {
        let deadline = Instant::now() + PATIENCE;
        let permit = tokio::time::timeout_at(deadline.into(), self.permits.acquire()).await;
        let _permit = permit.map_err(|_| StretchError::Late)?.map_err(|_| StretchError::Late)?;
        let log = self.log.clone();
        let answer = tokio::task::spawn_blocking(move || question(&log, deadline));
        answer.await.unwrap_or(Err(StretchError::Late))
    }
}

impl Place {
    fn end(&self, partition: u16, deadline: Instant) -> Result<Seq, StretchError> {
        let consumer = reader(&self.brokers, &self.topics, "stretch")?;
        let topic = self.topics.chat_log(self.epoch.number);
        let (_, end) = watermarks(&consumer, &topic, partition.into(), deadline)?;
        Ok(self.epoch.seq(end.unsigned_abs()))
    }

    fn read(
        &self,
        room: RoomId,
        from: Seq,
        to: Seq,
        deadline: Instant,
    ) -> Result<Vec<Arc<Record>>, StretchError> {
        // What earlier epochs hold is in PostgreSQL: a log is drained before it ends.
        let (from, to) = (from.max(self.epoch.seq(0)), to.min(self.epoch.end()));
        if from >= to {
            return Ok(Vec::new());
        }
        let number = partition_of(room, self.epoch.partitions);
        let (topic, partition) = (self.topics.chat_log(self.epoch.number), i32::from(number));
        let consumer = reader(&self.brokers, &self.topics, "stretch")?;
        let (first, end) = watermarks(&consumer, &topic, partition, deadline)?;
        let (from, to) = (from.offset().cast_signed(), to.offset().cast_signed().min(end));
        if from >= to {
            return Ok(Vec::new());
        }
        if from < first {
            return Err(StretchError::Gone);
        }
        let begin = lead(&consumer, &topic, &[(partition, from)], deadline)?;
        let begin = begin.get(&partition).copied().unwrap_or(from);
        consumer.assign(&places(&topic, &[(partition, begin)])?)?;
        let (mut repeats, mut records) = (Repeats::new(self.epoch.number), Vec::new());
        loop {
            let message = match consumer.poll(left(deadline)) {
                Some(Ok(message)) => message,
                Some(Err(error)) if is_gone(&error) => return Err(StretchError::Gone),
                Some(Err(error)) if Instant::now() >= deadline => return Err(error.into()),
                None if Instant::now() >= deadline => return Err(StretchError::Late),
                Some(Err(_)) | None => continue,
            };
            let offset = message.offset();
            if offset < to {
                let log_time = message.timestamp().to_millis().unwrap_or(0);
                // What is no record is told when the tail or the history comes to it.
                let record = codec::decode(self.epoch, &message).ok();
                let key = record.as_ref().and_then(|record| Key::of(&record.draft));
                let repeat = repeats.take(key, self.epoch.seq(offset.unsigned_abs()), log_time).is_some();
                let wanted = |record: &Record| !repeat && offset >= from && record.draft.room == room;
                records.extend(record.filter(wanted).map(Arc::new));
            }
            if offset + 1 >= to {
                return Ok(records);
            }
        }
    }
}
