//! From the outbox to `meetup.events`, at least once, in order per key, by one node at a time.

pub(crate) mod kafka;

use std::{collections::BTreeMap, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use kafka::Kafka;
use shared::{
    event::{Delivery, Envelope, MeetupEvent},
    names::{OUTBOX_CHANNEL, locks},
};
use sqlx::{PgConnection, PgPool, postgres::PgListener, types::Json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Events taken at once.
const BATCH: i64 = 256;
/// How often the outbox is looked at although nobody called: in case the node that heard the call died.
const POLL: Duration = Duration::from_secs(5);
/// The wait after a delivery failed.
const BACKOFF: Duration = Duration::from_millis(500);

/// Where events go.
pub(crate) enum Sink {
    Kafka(Kafka),
    Local(mpsc::Sender<Delivery>),
}

/// An event was not delivered; it stays in the outbox.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("the engine of this process takes no more events")]
    Closed,
    #[error("the engine of this process let the event go undone")]
    Undone,
    #[error(transparent)]
    Kafka(#[from] rdkafka::error::KafkaError),
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    key: String,
    payload: Json<serde_json::Value>,
}

/// What one look at the outbox came to.
#[derive(Debug, PartialEq, Eq)]
enum Pass {
    /// Nothing to do, or another node is at it.
    Idle,
    /// A batch is delivered; there may be more.
    Delivered,
    /// Something could not be delivered.
    Failed,
}

/// Relays until `stopping`. A database or a broker that is away is waited for: the outbox is what makes that
/// harmless. The one error is a producer that can only be replaced, by a new start.
pub(crate) async fn run(database: PgPool, sink: Sink, stopping: CancellationToken) -> anyhow::Result<()> {
    let mut listener = None;
    while !stopping.is_cancelled() {
        let turn = turn(&database, &sink, &mut listener);
        let pass = tokio::select! {
            // Cancel-safe: what was under way rolls back and is delivered again by the next relay.
            () = stopping.cancelled() => break,
            pass = turn => pass,
        };
        let wait = match pass {
            Ok(Pass::Delivered) => continue,
            Ok(Pass::Failed) => {
                if let Sink::Kafka(kafka) = &sink
                    && let Some(error) = kafka.fatal_error()
                {
                    anyhow::bail!("the Kafka producer cannot go on: {error}");
                }
                BACKOFF
            }
            Ok(Pass::Idle) => POLL,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                listener = None;
                BACKOFF
            }
        };
        let call = async {
            match &mut listener {
                // After a failure the call of the next event is no reason to try earlier.
                Some(listener) if wait == POLL => drop(PgListener::recv(listener).await),
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = call => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(())
}

/// Makes sure that we hear calls, and only then looks: nothing falls between the two.
async fn turn(database: &PgPool, sink: &Sink, listener: &mut Option<PgListener>) -> sqlx::Result<Pass> {
    if listener.is_none() {
        let mut fresh = PgListener::connect_with(database).await?;
        fresh.listen(OUTBOX_CHANNEL).await?;
        *listener = Some(fresh);
    }
    // Calls up to here are answered by the look that follows.
    while let Some(listener) = listener.as_mut()
        && listener.next_buffered().is_some()
    {}
    pass(database, sink).await
}

/// Takes the oldest unsent events, delivers them and deletes those that were delivered. Always from the
/// oldest on: an id that was given out early can commit late, and would be skipped by `id > last`.
async fn pass(database: &PgPool, sink: &Sink) -> sqlx::Result<Pass> {
    let mut transaction = database.begin().await?;
    // For the transaction and not the session: a lock that outlives its work would sit in the pool.
    let ours: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
        .bind(locks::OUTBOX_RELAY)
        .fetch_one(&mut *transaction)
        .await?;
    if !ours {
        return Ok(Pass::Idle);
    }
    let rows = oldest(&mut transaction).await?;
    if rows.is_empty() {
        return Ok(Pass::Idle);
    }
    let taken = rows.len();
    let mut by_key = BTreeMap::<String, Vec<Row>>::new();
    for row in rows {
        by_key.entry(row.key.clone()).or_default().push(row);
    }
    let delivered = join_all(by_key.values().map(|rows| deliver_in_order(sink, rows))).await.concat();
    sqlx::query("delete from outbox where id = any($1)").bind(&delivered).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(if delivered.len() == taken { Pass::Delivered } else { Pass::Failed })
}

async fn oldest(transaction: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as("select id, key, payload from outbox order by id limit $1")
        .bind(BATCH)
        .fetch_all(transaction)
        .await
}

/// Delivers the events of one key one after the other, up to the first that fails, and says which arrived.
/// One in flight per key: a later one that arrives while an earlier one has to be sent again would overtake.
async fn deliver_in_order(sink: &Sink, rows: &[Row]) -> Vec<i64> {
    let mut delivered = Vec::with_capacity(rows.len());
    for row in rows {
        // Only a newer program writes what this one cannot read; its own relay will take it.
        let event = match serde_json::from_value::<MeetupEvent>(row.payload.0.clone()) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(id = row.id, %error, "an event of the outbox is unknown here");
                break;
            }
        };
        let outcome = deliver(sink, &row.key, Envelope { id: row.id, event }).await;
        if let Err(error) = outcome {
            tracing::warn!(id = row.id, %error, "an event was not delivered; it will be sent again");
            break;
        }
        delivered.push(row.id);
    }
    delivered
}

async fn deliver(sink: &Sink, key: &str, envelope: Envelope) -> Result<(), DeliveryError> {
    match sink {
        Sink::Kafka(kafka) => Ok(kafka.send(key, &envelope).await?),
        Sink::Local(engine) => {
            let (done, outcome) = oneshot::channel();
            engine.send(Delivery { envelope, done }).await.map_err(|_| DeliveryError::Closed)?;
            outcome.map(|outcome| outcome.map_err(|_| DeliveryError::Undone)).await
        }
    }
}
