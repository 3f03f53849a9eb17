//! A node on this process alone.

use std::{sync::Arc, time::Duration};

use shared::{config::EngineSettings, event::Delivery};
use sqlx::PgPool;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use super::Foundation;
use crate::{
    engine::Engine,
    events,
    history::journal::Journal,
    log::{
        Log,
        embedded::{EmbeddedLog, Place},
        epoch::{self, Epoch},
    },
    reading::{Reading, memory::MemoryReading},
    shard::{Receivers, Shards, Tuning},
};

/// The log's committer: its end is the node's.
pub(super) struct Committer {
    pool: PgPool,
    epoch: Epoch,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Starts what a node stands on.
pub(super) async fn lay(
    settings: &EngineSettings,
    pool: &PgPool,
    journal: Journal,
    shards: &Shards,
    receivers: Receivers,
    tuning: Tuning,
) -> anyhow::Result<(Foundation, Committer)> {
    let epoch = epoch::current(pool, epoch::Backend::Embedded, 1).await?;
    let place = Place::find(pool, epoch).await?;
    let reading = Reading::Memory(MemoryReading::new(pool.clone(), journal, shards.clone()));
    let tasks = receivers.start(pool, epoch, &reading, shards, &[epoch.before(place.next)], tuning);
    let patience = Duration::from_millis(settings.log_timeout_ms.into());
    let (log, task) = EmbeddedLog::start(pool, place, patience, reading, shards.clone());
    let committer = Committer { pool: pool.clone(), epoch, task };
    Ok((Foundation { log: Log::Embedded(log), shards: tasks }, committer))
}

/// What runs beneath the node.
pub(super) struct Running {
    committer: Committer,
    followers: JoinSet<()>,
}

impl Running {
    pub(super) fn start(
        committer: Committer,
        engine: &Arc<Engine>,
        events: mpsc::Receiver<Delivery>,
    ) -> Self {
        let mut followers = JoinSet::new();
        followers.spawn(events::follow_local(engine.clone(), committer.pool.clone(), events));
        Self { committer, followers }
    }

    pub(super) async fn failed(&mut self) -> anyhow::Error {
        let Committer { pool, epoch, task } = &mut self.committer;
        let ended = tokio::select! {
            // Either ends the node: neither is asked again.
            ended = task => ended,
            error = epoch::superseded(pool, *epoch) => return error,
        };
        match ended {
            Ok(Ok(())) => anyhow::anyhow!("the chat log ended"),
            Ok(Err(error)) => error.context("the chat log failed"),
            Err(panic) => anyhow::Error::new(panic).context("the chat log failed"),
        }
    }

    /// Writes what the log has taken.
    pub(super) async fn stop(mut self) {
        self.followers.shutdown().await;
        if !self.committer.task.is_finished() {
            let _ = self.committer.task.await;
        }
    }
}
