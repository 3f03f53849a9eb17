//! From the outbox to `meetup.events`, at least once, in order per key, by one node at a time.

pub(crate) mod kafka;
mod tenure;

use std::time::Duration;

use kafka::Kafka;
use shared::{
    event::Delivery,
    names::{OUTBOX_CHANNEL, locks},
};
use sqlx::{PgConnection, PgPool, postgres::PgListener};
use tenure::{Ending, Tenure};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often the outbox is looked at although nobody called: in case the node that heard the call died.
const POLL: Duration = Duration::from_secs(5);
/// The wait after a delivery failed.
const BACKOFF: Duration = Duration::from_millis(500);

/// Where events go.
pub(crate) enum Sink {
    Kafka(Kafka),
    Local(mpsc::Sender<Delivery>),
}

impl Sink {
    /// Why nothing will ever be delivered any more, if so.
    fn fatal_error(&self) -> Option<String> {
        match self {
            Self::Kafka(kafka) => kafka.fatal_error(),
            Self::Local(_) => None,
        }
    }
}

/// The relay's own connections, kept from one tenure to the next.
struct Lines {
    /// Hears of new events.
    calls: PgListener,
    /// Holds the lock, reads and deletes. Taken out of the pool: a lock that outlives its work would sit in there. When
    /// this is dropped, or breaks, the lock is free.
    outbox: PgConnection,
}

impl Lines {
    async fn connect(database: &PgPool) -> sqlx::Result<Self> {
        let mut calls = PgListener::connect_with(database).await?;
        calls.listen(OUTBOX_CHANNEL).await?;
        Ok(Self { calls, outbox: database.acquire().await?.detach() })
    }

    /// Calls up to here are answered by the look that follows.
    fn forget_calls(&mut self) {
        while self.calls.next_buffered().is_some() {}
    }
}

/// Relays until `stopping`. A database or a broker that is away is waited for: the outbox is what makes that
/// harmless. The one error is a producer that can only be replaced, by a new start.
pub(crate) async fn run(database: PgPool, sink: Sink, stopping: CancellationToken) -> anyhow::Result<()> {
    let mut lines = None;
    while !stopping.is_cancelled() {
        let turn = turn(&database, &sink, &mut lines);
        let ending = tokio::select! {
            // Cancel-safe: what was under way stays in the outbox and is delivered again by the next relay.
            () = stopping.cancelled() => break,
            ending = turn => ending,
        };
        let wait = match ending {
            Ok(Ending::Idle) => POLL,
            Ok(Ending::Failed) => {
                if let Some(error) = sink.fatal_error() {
                    anyhow::bail!("the Kafka producer cannot go on: {error}");
                }
                BACKOFF
            }
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                lines = None;
                BACKOFF
            }
        };
        let call = async {
            match &mut lines {
                // After a failure the call of the next event is no reason to try earlier.
                Some(lines) if wait == POLL => lines.calls.recv().await.map(drop),
                _ => std::future::pending().await,
            }
        };
        let heard = tokio::select! {
            () = stopping.cancelled() => Ok(()),
            heard = call => heard,
            () = tokio::time::sleep(wait) => Ok(()),
        };
        if let Err(error) = heard {
            tracing::warn!(%error, "new events are not heard of");
            lines = None;
            wait_unless(&stopping, BACKOFF).await;
        }
    }
    Ok(())
}

async fn wait_unless(stopping: &CancellationToken, wait: Duration) {
    // Either way it is over.
    let _ = tokio::time::timeout(wait, stopping.cancelled()).await;
}

/// Makes sure that we hear calls, and only then looks: nothing falls between the two. Relays for as long as there is
/// something to relay, unless another node does.
async fn turn(database: &PgPool, sink: &Sink, lines: &mut Option<Lines>) -> sqlx::Result<Ending> {
    let lines = match lines {
        Some(lines) => lines,
        None => lines.insert(Lines::connect(database).await?),
    };
    lines.forget_calls();
    let ours: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(locks::OUTBOX_RELAY)
        .fetch_one(&mut lines.outbox)
        .await?;
    if !ours {
        return Ok(Ending::Idle);
    }
    let ending = Tenure::new(sink, lines).run().await?;
    sqlx::query("select pg_advisory_unlock($1)").bind(locks::OUTBOX_RELAY).execute(&mut lines.outbox).await?;
    Ok(ending)
}
