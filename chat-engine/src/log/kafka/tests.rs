use std::{ffi::CString, sync::Arc};

use rdkafka::{
    admin::{AdminClient, AdminOptions},
    bindings::rd_kafka_test_fatal_error,
    client::DefaultClientContext,
    types::RDKafkaRespErr,
};
use shared::testing;

use super::*;
use crate::log::Log;

/// Lets `test` append to a topic of its own.
async fn with_log(test: impl AsyncFnOnce(&KafkaLog)) {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    let topics = Topics::new(testing::unique("log") + ".");
    let epoch = Epoch { number: 1, partitions: 1 };
    ensure(&brokers, &topics, epoch).await.unwrap();
    let pace = Pace { linger_ms: 0, timeout_ms: 10_000 };
    test(&KafkaLog::new(&brokers, &topics, epoch, pace, Arc::default()).unwrap()).await;
    let admin: AdminClient<DefaultClientContext> = client_config(&brokers).create().unwrap();
    let names = [topics.chat_log(1), topics.meetup_events()];
    admin.delete_topics(&[&*names[0], &*names[1]], &AdminOptions::new()).await.unwrap();
}

async fn append(log: &KafkaLog) -> Result<Seq, AppendError> {
    let (room, user) = (1.try_into().unwrap(), 2.try_into().unwrap());
    Log::Kafka(log.clone()).append_durably(Draft::message(room, user, None, None, "x")).await
}

/// What librdkafka does when it can no longer tell which of its requests were taken.
#[allow(unsafe_code, reason = "librdkafka's own way to test this is not wrapped")]
fn break_producer(producer: &ThreadedProducer<Deliveries>) {
    let reason = CString::new("a test").unwrap();
    let code = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    // The client is alive for as long as `producer` is, and the reason is copied.
    unsafe { rd_kafka_test_fatal_error(producer.client().native_ptr(), code, reason.as_ptr()) };
}

#[tokio::test]
async fn a_producer_that_can_send_no_more_is_replaced() {
    with_log(async |log| {
        let first = append(log).await.unwrap();
        let broken = Arc::downgrade(&log.0.producer.read());
        break_producer(&log.0.producer.read());
        assert_eq!(
            log.0.producer.read().client().fatal_error().unwrap().0,
            RDKafkaErrorCode::OutOfOrderSequenceNumber
        );
        assert_eq!(append(log).await, Err(AppendError::Unavailable));
        tokio::select! {
            reason = log.broken() => panic!("it goes on: {reason}"),
            () = testing::until("another producer", async || append(log).await.is_ok()) => {}
        }
        assert!(append(log).await.unwrap() > first);
        testing::until("nothing of the old one to be left", async || broken.strong_count() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_tail_that_stands_still_while_the_log_goes_on_is_noticed_and_no_other() {
    with_log(async |log| {
        append(log).await.unwrap();
        let hours = std::time::Duration::from_hours(1);
        // The clock goes on while nothing is waited for but it.
        tokio::time::pause();
        // There is no tail that could come to the record.
        let place = tokio::time::timeout(hours, log.stands_still()).await.expect("it is noticed");
        assert!(place.ends_with("chat.log.1/0, record 0 of 1"), "{place}");
        log.0.deliveries.window.pass(0, None, 0, 0).unwrap().answer();
        tokio::time::timeout(hours, log.stands_still()).await.expect_err("it has come to it");
        tokio::time::resume();
    })
    .await;
}

#[tokio::test]
async fn senders_of_a_node_whose_tail_does_not_come_are_told_in_time() {
    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
    with_log(async |log| {
        // The same topic, and a node that waits for less long.
        let topics = Topics::new(log.0.topic.strip_suffix("chat.log.1").unwrap());
        let pace = Pace { linger_ms: 0, timeout_ms: 1_000 };
        let hasty = KafkaLog::new(&brokers, &topics, log.0.epoch, pace, Arc::default()).unwrap();
        let (room, user) = (1.try_into().unwrap(), 2.try_into().unwrap());
        // It takes a while to be connected.
        while append(&hasty).await.is_err() {}
        let draft = Draft::message(room, user, Some("a".into()), None, "x");
        let outcome = Log::Kafka(hasty).append_durably(draft.clone()).await;
        assert_eq!(outcome, Err(AppendError::Unavailable));
        // It is in the log all the same.
        let records = log.stretch(room, Seq::ZERO, Seq::new(1, 9)).await.unwrap();
        assert_eq!(records.last().expect("records").draft.body, draft.body);
    })
    .await;
}
