//! The alerts speak of what the nodes tell.

use std::collections::BTreeSet;

use shared::testing;

use crate::world::{Backing, World, metrics, with_world_as};

/// As tests have it.
const PARTITIONS: usize = 2;

/// Names of metrics in the rules' expressions.
fn named_in_alerts() -> BTreeSet<&'static str> {
    let rules = include_str!("../../../infra/alerts/moyiza.yml");
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("moyiza_") && *word != "moyiza_test").collect()
}

/// A name with a sample, with or without labels.
fn has(metrics: &str, sample: &str) -> bool {
    metrics.lines().any(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with([' ', '{'])))
}

#[tokio::test]
async fn alerts_speak_of_metrics_that_a_cluster_has() {
    let wanted = named_in_alerts();
    assert!(wanted.len() >= 4, "{wanted:?}");
    with_world_as(Backing::Cluster, &[], async |world: &World| {
        let look = async || {
            let mut all = String::new();
            for addr in world.addrs().take(world.nodes()) {
                all += &metrics(addr).await;
            }
            all
        };
        // By partition, as the alerts have it, and without anything having been said.
        let lag = |partition| format!("moyiza_history_lag_records{{partition=\"{partition}\"}} 0\n");
        let each = |all: &String| (0..PARTITIONS).all(|partition| all.contains(&lag(partition)));
        let told = testing::becomes("each partition's lag", look, each).await;
        for name in &wanted {
            assert!(has(&told, name), "{name} is in an alert, and no node tells it");
        }
    })
    .await;
}
