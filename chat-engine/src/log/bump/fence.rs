//! Closing a topic, so that nobody has anything acknowledged in it again, and making sure of it.
//!
//! Where a closed partition ends is not known yet: what its leader took last may be in too few copies to be read, and
//! be acknowledged, to a node that nobody has heard of, once it is in more. So a mark is put behind it, which is smaller
//! than every record and which the closed topic still takes. When that is in every copy that is needed, all before
//! it is.

use std::time::{Duration, Instant};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

use super::{BumpError, OldPartition, PATIENCE};
use crate::log::kafka::{client_config, fence};

/// Between two looks whether a broker has heard of it.
const AGAIN: Duration = Duration::from_millis(50);
/// What the messages that try it are made of: as long as a record. They have no room: whoever reads one leaves it out.
const PROBE: &[u8] = b"is this topic closed? while it is not, it takes messages that are as long as this one";
/// What is behind the last record.
const END: &[u8] = b"the end";

/// Closes the topic, waits until the leader of each partition refuses a record, and notes where each ends: everything
/// before can be read, and nothing comes behind. A later leader refuses too: that it leads it has learnt from the same
/// metadata, after the topic's closing.
pub(super) async fn raise(brokers: &str, topic: &str, old: &mut [OldPartition]) -> Result<(), BumpError> {
    fence(brokers, topic).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut config = client_config(brokers);
    config.set("acks", "all").set("linger.ms", "0");
    let producer: FutureProducer =
        config.set("message.timeout.ms", PATIENCE.as_millis().to_string()).create()?;
    for partition in old {
        while !is_closed(&producer, topic, partition.number).await? {
            if Instant::now() >= deadline {
                return Err(BumpError::NotFenced(topic.to_owned()));
            }
            // Brokers do not tell when they have taken up a setting.
            tokio::time::sleep(AGAIN).await;
        }
        partition.end = mark_end(&producer, topic, partition.number).await?;
    }
    Ok(())
}

/// Marks the end of a closed partition: the offset of the mark, which is acknowledged.
async fn mark_end(producer: &FutureProducer, topic: &str, partition: u16) -> Result<u64, BumpError> {
    let mark = FutureRecord::<(), _>::to(topic).partition(partition.into()).payload(END);
    match producer.send(mark, Timeout::After(PATIENCE)).await {
        Ok(delivered) => Ok(delivered.offset.unsigned_abs()),
        Err((error, _)) => Err(BumpError::NotInSync(format!("{topic}/{partition}"), error)),
    }
}

async fn is_closed(producer: &FutureProducer, topic: &str, partition: u16) -> Result<bool, KafkaError> {
    let probe = FutureRecord::<(), _>::to(topic).partition(partition.into()).payload(PROBE);
    match producer.send(probe, Timeout::After(PATIENCE)).await {
        Ok(_) => Ok(false),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => Ok(true),
        Err((error, _)) => Err(error),
    }
}

/// Whether this is what tried whether a topic was closed, or marks its end.
pub(crate) fn is_probe(key: Option<&[u8]>, payload: Option<&[u8]>) -> bool {
    key.is_none() && payload.is_some_and(|payload| payload == PROBE || payload == END)
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;
    use shared::Seq;

    use super::*;
    use crate::{
        log::kafka::{codec, topics::FENCE},
        record::Draft,
    };

    /// A batch's own bytes (Kafka's documentation, "Record Batch").
    const BATCH: usize = 61;

    #[test]
    fn a_closed_topic_takes_its_end_and_no_record() {
        let (room, user) = (1.try_into().unwrap(), 1.try_into().unwrap());
        let smallest = [
            Draft::message(room, user, None, None, ""),
            Draft::edited(room, user, Seq::new(1, 0), None, ""),
            Draft::deleted(room, user, Seq::new(1, 0), None),
            Draft::joined(room, user, 1),
            Draft::left(room, user, 1),
        ];
        let fence: usize = FENCE.1.parse().unwrap();
        for draft in smallest {
            let headers = codec::headers(&draft);
            let headers = headers.iter().map(|header| header.key.len() + header.value.unwrap().len());
            let size = BATCH + draft.body.len() + draft.room.to_string().len() + headers.sum::<usize>();
            assert!(size > fence, "{draft:?} is {size} bytes");
        }
        assert!(BATCH + PROBE.len() > fence);
        // Lengths, deltas and flags of a record are up to a dozen bytes.
        assert!(BATCH + 12 + END.len() < fence);
    }
}
