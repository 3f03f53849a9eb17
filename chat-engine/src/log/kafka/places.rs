//! Where to begin reading, so as to know of every record whether it is a repeat.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaErrorCode,
};
use shared::names::Topics;

use super::{client_config, topics::POLL};
use crate::log::repeats::WINDOW_MS;

/// A consumer that reads from where it is told, in no group. `group` is a name for brokers that check names: a
/// consumer must have one to be assigned partitions.
pub(crate) fn reader(brokers: &str, topics: &Topics, group: &str) -> KafkaResult<BaseConsumer> {
    client_config(brokers)
        .set("group.id", topics.group(group))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.error.backoff.ms", "100")
        // What was deleted is said to be unknown after as long; whether it is, is then looked up.
        .set("topic.metadata.propagation.max.ms", "5000")
        .create()
}

/// The first and the next offset of a partition.
pub(crate) fn watermarks(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    deadline: Instant,
) -> KafkaResult<(i64, i64)> {
    while_leaders_move(deadline, || consumer.fetch_watermarks(topic, partition, left(deadline)))
}

/// The first record of each of these partitions that is not older than `time` (milliseconds); `None` where all are.
pub(crate) fn offsets_at(
    consumer: &BaseConsumer,
    topic: &str,
    times: &HashMap<i32, i64>,
    deadline: Instant,
) -> KafkaResult<HashMap<i32, Option<i64>>> {
    if times.is_empty() {
        return Ok(HashMap::new());
    }
    while_leaders_move(deadline, || {
        let mut wanted = TopicPartitionList::new();
        for (partition, time) in times {
            wanted.add_partition_offset(topic, *partition, Offset::Offset((*time).max(0)))?;
        }
        let found = consumer.offsets_for_times(wanted, left(deadline))?;
        let offset = |found: &TopicPartitionListElem<'_>| {
            found.error()?;
            let offset = if let Offset::Offset(offset) = found.offset() { Some(offset) } else { None };
            Ok((found.partition(), offset))
        };
        found.elements().iter().map(offset).collect()
    })
}

/// How many consumers there are in `group`.
pub(crate) fn members(consumer: &BaseConsumer, group: &str, deadline: Instant) -> KafkaResult<usize> {
    let groups = while_leaders_move(deadline, || consumer.fetch_group_list(Some(group), left(deadline)))?;
    Ok(groups.groups().iter().map(|group| group.members().len()).sum())
}

/// Asks again while leadership is moving, as it does just after a topic was made or brokers have started.
fn while_leaders_move<T>(deadline: Instant, ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    loop {
        match ask() {
            Err(
                KafkaError::MetadataFetch(code)
                | KafkaError::OffsetFetch(code)
                | KafkaError::GroupListFetch(code),
            ) if is_moving(code) && Instant::now() < deadline => {
                std::thread::park_timeout(POLL);
            }
            result => return result,
        }
    }
}

fn is_moving(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::NotCoordinator
    )
}

/// Where a reader has to begin that wants to know from `offsets` on what is a repeat: at the first record that is not
/// more than ten minutes older. Each offset lies within its partition, or at its end. Leaves `consumer` without an
/// assignment.
pub(crate) fn lead(
    consumer: &BaseConsumer,
    topic: &str,
    offsets: &[(i32, i64)],
    deadline: Instant,
) -> KafkaResult<HashMap<i32, i64>> {
    let mut begin: HashMap<i32, i64> = offsets.iter().copied().collect();
    let mut looked_at = Vec::new();
    for (partition, offset) in offsets {
        let (first, end) = watermarks(consumer, topic, *partition, deadline)?;
        // At the end there is no record yet; those to come are not older than the last.
        let record = if *offset < end { *offset } else { end - 1 };
        if record >= first {
            looked_at.push((*partition, record));
        }
    }
    let mut times = log_times(consumer, topic, &looked_at, deadline)?;
    for time in times.values_mut() {
        *time -= WINDOW_MS;
    }
    for (partition, offset) in offsets_at(consumer, topic, &times, deadline)? {
        if let (Some(offset), Some(begin)) = (offset, begin.get_mut(&partition)) {
            *begin = offset.min(*begin);
        }
    }
    Ok(begin)
}

/// The log times of these records.
fn log_times(
    consumer: &BaseConsumer,
    topic: &str,
    records: &[(i32, i64)],
    deadline: Instant,
) -> KafkaResult<HashMap<i32, i64>> {
    let mut times = HashMap::new();
    if records.is_empty() {
        return Ok(times);
    }
    consumer.assign(&places(topic, records)?)?;
    while times.len() < records.len() {
        let failed = match consumer.poll(left(deadline)) {
            Some(Ok(message)) => {
                let time = message.timestamp().to_millis().unwrap_or(0);
                times.entry(message.partition()).or_insert(time);
                continue;
            }
            Some(Err(error)) => error,
            None => KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut),
        };
        // librdkafka goes on by itself, but not for ever.
        if Instant::now() >= deadline || is_gone(&failed) {
            return Err(failed);
        }
    }
    consumer.unassign()?;
    Ok(times)
}

/// An assignment.
pub(crate) fn places(topic: &str, offsets: &[(i32, i64)]) -> KafkaResult<TopicPartitionList> {
    let mut places = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        places.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(places)
}

/// Whether the log does not hold what a reader has come to: it is gone, or was never there.
pub(crate) fn is_gone(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation
        )
    )
}

/// Whether a broker does not know what is read: while leadership moves, and when it was deleted.
pub(crate) fn is_unknown(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
        )
    )
}

pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn brokers_that_have_just_started_are_asked_again() {
        let asked = Cell::new(0);
        let loading = || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 {
                return Err(KafkaError::GroupListFetch(RDKafkaErrorCode::CoordinatorLoadInProgress));
            }
            Ok(asked.get())
        };
        assert_eq!(while_leaders_move(Instant::now() + Duration::from_mins(1), loading).unwrap(), 3);
    }

    #[test]
    fn what_asking_again_does_not_mend_is_said_at_once() {
        let refused = || Err::<(), _>(KafkaError::GroupListFetch(RDKafkaErrorCode::GroupAuthorizationFailed));
        let error = while_leaders_move(Instant::now() + Duration::from_mins(1), refused).unwrap_err();
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::GroupAuthorizationFailed));
    }
}
