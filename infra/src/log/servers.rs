//! Kafka and Redis beside a database whose cluster does not run.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rustix::process::Signal;
use shared::config::CommonSettings;

use crate::servers::{Kafka, Redis, Store};

/// Those that are set, and the instance's own where none is.
pub(super) struct Beside {
    pub(super) brokers: String,
    pub(super) redis_url: String,
    kafka: Option<Kafka>,
    redis: Option<Redis>,
}

impl Beside {
    /// Whether there is a Kafka to use.
    pub(super) fn is_there(common: &CommonSettings, directory: &Path) -> bool {
        common.kafka_brokers.is_some() || has_kafka(directory)
    }

    /// Whether servers of the instance itself are to be started.
    pub(super) fn needs_own(common: &CommonSettings, directory: &Path) -> bool {
        common.kafka_brokers.is_none() && has_kafka(directory)
            || common.redis_url.is_none() && directory.join("redis").exists()
    }

    pub(super) async fn start(common: &CommonSettings, store: &Store, directory: &Path) -> Result<Self> {
        let redis = async {
            match &common.redis_url {
                Some(url) => Ok((url.clone(), None)),
                None if Self::needs_own(common, directory) => {
                    Redis::start(store, directory, true).await.map(|redis| (redis.url(), Some(redis)))
                }
                None => Err(anyhow!("MOYIZA_REDIS_URL is not set (see --help)")),
            }
        };
        let kafka = async {
            match &common.kafka_brokers {
                Some(brokers) => Ok((brokers.clone(), None)),
                None if has_kafka(directory) => Kafka::start(store, directory, brokers_of(directory))
                    .await
                    .map(|kafka| (kafka.bootstrap(), Some(kafka))),
                None => Err(anyhow!("MOYIZA_KAFKA_BROKERS is not set (see --help)")),
            }
        };
        match tokio::join!(redis, kafka) {
            (Ok((redis_url, redis)), Ok((brokers, kafka))) => Ok(Self { brokers, redis_url, kafka, redis }),
            (redis, kafka) => {
                // What did start ends in order.
                let mut errors = Vec::new();
                match redis {
                    Ok((_, redis)) => stop_redis(redis).await,
                    Err(error) => errors.push(error),
                }
                match kafka {
                    Ok((_, kafka)) => stop_kafka(kafka).await,
                    Err(error) => errors.push(error),
                }
                Err(errors.pop().context("one of the two failed")?)
            }
        }
    }

    pub(super) fn is_own_kafka(&self) -> bool {
        self.kafka.is_some()
    }

    pub(super) async fn stop(self) {
        stop_kafka(self.kafka).await;
        stop_redis(self.redis).await;
    }
}

async fn stop_redis(redis: Option<Redis>) {
    if let Some(redis) = redis {
        redis.stop().await;
    }
}

async fn stop_kafka(kafka: Option<Kafka>) {
    if let Some(kafka) = kafka {
        kafka.stop(Signal::TERM).await;
    }
}

fn has_kafka(directory: &Path) -> bool {
    brokers_of(directory) > 0
}

/// As many as there is data of: whatever is set by now, they were so many.
fn brokers_of(directory: &Path) -> u8 {
    let is_there = |id: &u8| directory.join(format!("kafka-{id}/data/meta.properties")).exists();
    (1..=3).filter(is_there).count().try_into().unwrap_or(0)
}
