//! Closing a topic, so that nobody has anything acknowledged in it again, and making sure of it.

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
/// What the records that try it are made of. They have no room: whoever reads one leaves it out.
const PROBE: &[u8] = b"is this topic closed?";

/// Closes the topic and waits until the leader of each partition refuses a record. A later leader refuses too: that
/// it leads it has learnt from the same metadata, after the topic's closing.
pub(super) async fn raise(brokers: &str, topic: &str, old: &[OldPartition]) -> Result<(), BumpError> {
    fence(brokers, topic).await?;
    let deadline = Instant::now() + PATIENCE;
    let producer: FutureProducer =
        client_config(brokers).set("acks", "all").set("linger.ms", "0").create()?;
    for partition in old {
        while !is_closed(&producer, topic, partition.number).await? {
            if Instant::now() >= deadline {
                return Err(BumpError::NotFenced(topic.to_owned()));
            }
            // Brokers do not tell when they have taken up a setting.
            tokio::time::sleep(AGAIN).await;
        }
    }
    Ok(())
}

async fn is_closed(producer: &FutureProducer, topic: &str, partition: u16) -> Result<bool, KafkaError> {
    let probe = FutureRecord::<(), _>::to(topic).partition(partition.into()).payload(PROBE);
    match producer.send(probe, Timeout::After(PATIENCE)).await {
        Ok(_) => Ok(false),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => Ok(true),
        Err((error, _)) => Err(error),
    }
}

/// Whether this is a record that tried whether a topic was closed.
pub(crate) fn is_probe(key: Option<&[u8]>, payload: Option<&[u8]>) -> bool {
    key.is_none() && payload == Some(PROBE)
}
