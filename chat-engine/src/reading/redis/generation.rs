//! Whether Redis still is the one that it was. A restart, or a replica that took over, may have lost the last writes;
//! its versions then count up to where they have been before, and no gap would show. So the runs of Redis' primaries are
//! counted, in PostgreSQL: rooms of an earlier count are loaded from there again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{
    interfaces::{ClientLike as _, FunctionInterface as _},
    types::{InfoKind, Value, config::Server},
};
use shared::names::locks;
use sqlx::PgPool;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    mpsc, watch,
};

use super::{FUNCTIONS, RETRY_MS, RedisError, Rooms, calls::Call};
use crate::reading::Incarnation;

const SERVER: Option<InfoKind> = Some(InfoKind::Server);
const REPLICATION: Option<InfoKind> = Some(InfoKind::Replication);

/// The count, as this node knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Generation(Arc<AtomicU64>);

impl Generation {
    /// The count that this node knows.
    pub(super) fn known(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Rooms {
    /// Looks which runs there are, where a room was seen of the generation `seen`. If the count is another one now, every
    /// open room fetches its positions, which are of another life.
    pub(super) async fn learn_generation(&self, seen: u64) -> Result<(), RedisError> {
        let (client, mut runs) = (&self.client, Vec::new());
        if client.is_clustered() {
            for server in client.active_connections() {
                let node = client.with_cluster_node(server);
                let (server, replication): (String, String) =
                    (node.info(SERVER).await?, node.info(REPLICATION).await?);
                runs.push(run(&server, &replication)?);
            }
        } else {
            let (server, replication): (String, String) =
                (client.info(SERVER).await?, client.info(REPLICATION).await?);
            runs.push(run(&server, &replication)?);
        }
        let generation = count(&self.pool, &runs, seen.max(self.generation.known())).await?;
        let before = self.generation.0.fetch_max(generation, Ordering::Relaxed);
        if before < generation && before > 0 {
            tracing::warn!("Redis was restarted or failed over: positions are loaded again");
            self.shards.resync();
        }
        Ok(())
    }
}

/// Looks again whenever there is a new connection, until nobody makes calls any more: that ends `current`.
pub(super) async fn follow(
    rooms: Rooms,
    mut reconnects: Receiver<Server>,
    calls: mpsc::WeakUnboundedSender<Call>,
    mut current: watch::Receiver<Incarnation>,
) {
    let look = async {
        // Missed ones are the same to us.
        while !matches!(reconnects.recv().await, Err(RecvError::Closed)) {
            while let Err(error) = greet(&rooms).await {
                tracing::warn!(%error, "whether Redis is the same is not known yet");
                tokio::time::sleep(Duration::from_millis(RETRY_MS.into())).await;
            }
            if let Some(calls) = calls.upgrade() {
                let _ = calls.send(Call::Connected);
            }
        }
    };
    tokio::select! {
        () = look => {}
        () = async { while current.changed().await.is_ok() {} } => {}
    }
}

/// A Redis that was restarted has the functions only if it kept its data. One that has others keeps them: they are of a
/// node that started later.
async fn greet(rooms: &Rooms) -> Result<(), RedisError> {
    let loaded: Result<(), _> = rooms.client.function_load_cluster(false, FUNCTIONS).await;
    if let Err(error) = loaded
        && !error.details().contains("already exists")
    {
        return Err(error.into());
    }
    rooms.learn_generation(0).await
}

/// What tells one data set from another: a process, and what it replicates. A primary that was demoted and comes back
/// has other data, and another second half.
fn run(server: &str, replication: &str) -> Result<String, RedisError> {
    let field = |text: &str, name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .map(|value| value.trim().to_owned())
            .ok_or_else(|| RedisError::Answer(format!("INFO without {name}")))
    };
    Ok(format!("{} {}", field(server, "run_id")?, field(replication, "master_replid")?))
}

/// The generation of a room that the caller's is behind, if that is why a function refused.
pub(super) fn newer(answer: &Value) -> Option<u64> {
    answer.as_str()?.strip_prefix("STALE ")?.parse().ok()
}

/// Counts what is new; the count. One behind what was `seen` is that of a database that was restored: it goes on above all
/// that was counted before, of which it has forgotten what that was.
async fn count(pool: &PgPool, runs: &[String], seen: u64) -> sqlx::Result<u64> {
    let known = "select coalesce(max(generation), 0), count(*) filter (where run = any($1)) from redis_runs";
    let (generation, counted): (i64, i64) = sqlx::query_as(known).bind(runs).fetch_one(pool).await?;
    if usize::try_from(counted) == Ok(runs.len()) && generation.cast_unsigned() >= seen {
        return Ok(generation.cast_unsigned());
    }
    let mut transaction = pool.begin().await?;
    // One after the other: a count that is handed out is the highest there is.
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(locks::REDIS_RUNS)
        .execute(&mut *transaction)
        .await?;
    for run in runs {
        sqlx::query(
            "insert into redis_runs (run, generation) select $1, greatest(max(generation), $2) + 1 from redis_runs \
             on conflict (run) do nothing",
        )
        .bind(run)
        .bind(seen.cast_signed())
        .execute(&mut *transaction)
        .await?;
    }
    // One of them is enough: it is the highest count that holds.
    sqlx::query(
        "update redis_runs set generation = $2 + 1 \
         where run = $1 and (select max(generation) from redis_runs) < $2",
    )
    .bind(runs.first())
    .bind(seen.cast_signed())
    .execute(&mut *transaction)
    .await?;
    let (generation, _): (i64, i64) = sqlx::query_as(known).bind(runs).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(generation.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_process_and_what_it_replicates() {
        let server = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n";
        let replication = "# Replication\r\nrole:master\r\nmaster_replid:def\r\nmaster_replid2:0\r\n";
        assert_eq!(run(server, replication).unwrap(), "abc def");
        assert!(run(server, "role:master").is_err());
    }
}
