//! How far the history is behind the log.

use std::{sync::Arc, time::Duration};

use super::group::Group;
use crate::engine::Engine;

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(2);

/// Measures for ever. The brokers are asked: what was fetched last says nothing while fetching stands still.
pub(super) async fn measure(group: Group, engine: Arc<Engine>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let metrics = &engine.counters.history;
        for (partition, _) in metrics.lags() {
            match group.watermarks(partition).await {
                Ok((_, end)) => metrics.ends(partition, end),
                Err(error) => tracing::debug!(%error, partition, "its end is not known"),
            }
        }
    }
}
