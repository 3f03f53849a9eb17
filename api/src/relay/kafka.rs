//! `meetup.events` as a Kafka topic.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    producer::{FutureProducer, FutureRecord, Producer as _},
    types::RDKafkaErrorCode,
    util::Timeout,
};
use shared::{
    event::Envelope,
    names::{EVENT_PARTITIONS, Topics},
};

/// How long the brokers may take to answer when we start.
const PATIENCE: Duration = Duration::from_secs(15);

/// A producer of events.
pub(crate) struct Kafka {
    producer: FutureProducer,
    topic: String,
}

impl Kafka {
    /// Connects, and creates the topic unless it is there.
    pub(crate) async fn connect(brokers: &str, topics: &Topics) -> anyhow::Result<Self> {
        let topic = topics.meetup_events();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "moyiza-api")
            // Durable on every in-sync copy before the outbox row goes, and no repeats by the client's own
            // retries.
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            // After this the row is tried again from the outbox.
            .set("message.timeout.ms", "30000");
        create_topic(&config, &topic)
            .await
            .with_context(|| format!("cannot use Kafka at {brokers} (MOYIZA_KAFKA_BROKERS)"))?;
        let producer = config.create().context("cannot make a Kafka producer")?;
        Ok(Self { producer, topic })
    }

    /// Why this producer will never send again, if so (librdkafka's fatal errors: the brokers have lost what
    /// idempotence stands on).
    pub(crate) fn fatal_error(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }

    /// Returns once the event is durable.
    pub(crate) async fn send(&self, key: &str, envelope: &Envelope) -> Result<(), KafkaError> {
        // An envelope is made of numbers and words: there is nothing in it that JSON cannot say.
        let payload = serde_json::to_vec(envelope).expect("an envelope is JSON");
        let record = FutureRecord::to(&self.topic).key(key).payload(&payload);
        self.producer.send(record, Timeout::Never).await.map(drop).map_err(|(error, _)| error)
    }
}

async fn create_topic(config: &ClientConfig, topic: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // -1: the brokers' own default (KIP-464).
    let new = NewTopic::new(topic, EVENT_PARTITIONS, TopicReplication::Fixed(-1))
        .set("cleanup.policy", "delete")
        .set("retention.ms", "604800000");
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    for outcome in admin.create_topics([&new], &options).await? {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => anyhow::bail!("the topic {topic} cannot be created: {code}"),
        }
    }
    Ok(())
}
