//! A node among others, on Kafka and Redis.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use shared::{config::EngineSettings, names::Topics};
use sqlx::PgPool;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::Foundation;
use crate::{
    engine::Engine,
    history::{self, consumer::HistoryConsumer, journal::Journal, progress::watch_progress},
    log::{
        Log, epoch,
        kafka::{self, KafkaLog, tail},
    },
    reading::{Reading, redis::RedisReading},
    shard::{Receivers, Shards, Tuning},
};

/// How long librdkafka has to let a reader go.
const LEAVING: Duration = Duration::from_secs(3);

/// Where the node's servers are.
pub(super) struct Addresses {
    pub(super) brokers: String,
    pub(super) redis_url: String,
    pub(super) prefix: String,
}

/// What waits for the node to be there.
pub(super) struct Ground {
    pool: PgPool,
    epoch: epoch::Epoch,
    shards: Shards,
    log: KafkaLog,
    tail: tail::Tail,
    consumer: HistoryConsumer,
    reading: JoinHandle<()>,
}

/// Starts what a node stands on.
pub(super) async fn lay(
    addresses: Addresses,
    settings: &EngineSettings,
    pool: &PgPool,
    journal: Journal,
    shards: &Shards,
    receivers: Receivers,
    tuning: Tuning,
) -> anyhow::Result<(Foundation, Ground)> {
    let Addresses { brokers, redis_url, prefix } = addresses;
    let topics = Topics::new(&*prefix);
    let epoch = epoch::current(pool, epoch::Backend::Kafka, settings.log_partitions).await?;
    kafka::ensure(&brokers, &topics, epoch).await?;
    let check = Duration::from_millis(settings.reading_check_ms.into());
    let (redis, reading_task) =
        RedisReading::connect(&redis_url, &prefix, pool.clone(), epoch, journal, shards.clone(), check)
            .await
            .with_context(|| format!("cannot use Redis at {redis_url} (MOYIZA_REDIS_URL)"))?;
    let reading = Reading::Redis(redis);
    let mut next = Vec::new();
    for partition in 0..epoch.partitions {
        next.push(history::next_offset(pool, epoch, partition).await?);
    }
    let log = KafkaLog::new(&brokers, &topics, epoch, settings.into(), shards.timing().clone())?;
    let tail = tokio::task::spawn_blocking({
        let (brokers, topics, log) = (brokers.clone(), topics.clone(), log.clone());
        move || tail::Tail::assign(&brokers, &topics, epoch, &log, &next)
    });
    let tail = tail.await??;
    let positions: Vec<_> = tail.from().iter().map(|from| epoch.before(*from)).collect();
    let tasks = receivers.start(pool, epoch, &reading, shards, &positions, tuning);
    shards.set_log(Log::Kafka(log.clone()));
    let consumer = HistoryConsumer::join(&brokers, &topics, settings, pool.clone(), epoch, reading)?;
    let foundation = Foundation { log: Log::Kafka(log.clone()), shards: tasks };
    let (pool, shards) = (pool.clone(), shards.clone());
    Ok((foundation, Ground { pool, epoch, shards, log, tail, consumer, reading: reading_task }))
}

/// What runs beneath the node.
pub(super) struct Running {
    pool: PgPool,
    epoch: epoch::Epoch,
    log: KafkaLog,
    tail: tail::Running,
    tasks: JoinSet<()>,
    /// Ends the history's consumer, which writes what was appended until then.
    last_words: watch::Sender<bool>,
    reading: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(
        ground: Ground,
        engine: &Arc<Engine>,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let Ground { pool, epoch, shards, log, tail, consumer, reading } = ground;
        let tail = tail.start(engine.clone())?;
        let mut tasks = JoinSet::new();
        let (last_words, said) = watch::channel(false);
        tasks.spawn(consumer.run(engine.clone(), said));
        let progress = watch_progress(pool.clone(), epoch, shards);
        tasks.spawn(async move {
            let mut stop = stop;
            tokio::select! {
                // Cancel-safe: it only reads.
                () = progress => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
        Ok(Self { pool, epoch, log, tail, tasks, last_words, reading })
    }

    pub(super) async fn failed(&mut self) -> anyhow::Error {
        let ended = tokio::select! {
            // Each ends the node: none of them is asked again.
            ended = self.tasks.join_next() => ended,
            error = epoch::superseded(&self.pool, self.epoch) => return error,
            reason = self.log.broken() => return anyhow::anyhow!("the chat log cannot be written: {reason}"),
            error = self.tail.ended() => return error.context("the chat log cannot be read"),
            place = self.log.stands_still() => {
                return anyhow::anyhow!("the chat log is not read any more: {place}. Start this node again");
            }
        };
        match ended {
            Some(Err(panic)) => anyhow::Error::new(panic).context("consuming the chat log failed"),
            Some(Ok(())) | None => anyhow::anyhow!("consuming the chat log ended"),
        }
    }

    /// Waits for what was sent, and a moment for it to become history, and leaves the group. No connection is left. The
    /// rest ends when Redis has been told of everybody who leaves now.
    pub(super) async fn stop(mut self) -> JoinHandle<()> {
        let log = self.log.clone();
        let _ = tokio::task::spawn_blocking(move || log.drain()).await;
        let _ = self.last_words.send(true);
        while self.tasks.join_next().await.is_some() {}
        // Of joinings and leavings, too.
        let (log, tail) = (self.log, self.tail);
        let stopped = tokio::task::spawn_blocking(move || {
            log.drain();
            let gone = tail.stop();
            log.close();
            gone
        });
        if let Ok(gone) = stopped.await
            && tokio::time::timeout(LEAVING, gone.wait()).await.is_err()
        {
            tracing::warn!("librdkafka does not let the log's reader go");
        }
        self.reading
    }
}
