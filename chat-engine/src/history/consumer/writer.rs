//! Writing one batch, however long it takes: until it is rows, or somebody else's.

use std::{sync::Arc, time::Duration};

use rdkafka::message::OwnedMessage;
use sqlx::PgPool;

use super::dead_letter::{DeadLetters, Label};
use crate::{
    history::{
        Stretch,
        metrics::{Metrics, count},
        write_many,
    },
    record::Record,
};

/// Between two attempts to reach PostgreSQL.
const RETRY: Duration = Duration::from_millis(200);

/// What batches are written with.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) pool: PgPool,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) chat_topic: Arc<str>,
    pub(crate) metrics: Arc<Metrics>,
}

/// A batch on its way.
pub(crate) struct Work {
    pub(crate) stretch: Stretch,
    pub(crate) told: u64,
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) poison: Vec<(OwnedMessage, String)>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Written,
    /// The stored offset is not where this node believed it: another one writes the partition.
    Lost,
}

impl Writer {
    /// Writes what is not a row yet. Cancel-safe: a part of the batch is rows with their offset, or it is not.
    pub(crate) async fn write(&self, work: &Work) -> Outcome {
        for (message, reason) in &work.poison {
            self.dead_letters.keep(message, reason).await;
            count(&self.metrics.dead_letters, 1);
        }
        let Stretch { epoch, from, to, .. } = work.stretch;
        if to <= from {
            // Read again only to tell of it.
            return Outcome::Written;
        }
        let new = work.records.partition_point(|record| record.seq < epoch.seq(from));
        // Pieces that are still to be written, the next one last.
        let mut pieces = vec![(work.stretch, &work.records[new..])];
        while let Some((stretch, records)) = pieces.pop() {
            match write_many(&self.pool, stretch, work.told, records).await {
                Ok(true) => {
                    count(&self.metrics.rows, records.len() as u64);
                    count(&self.metrics.batches, 1);
                }
                Ok(false) => return Outcome::Lost,
                Err(error) if is_about_data(&error) => {
                    self.divide(&mut pieces, stretch, records, &error).await;
                }
                Err(error) => {
                    tracing::warn!(%error, partition = stretch.partition, "history not written, trying again");
                    count(&self.metrics.failures, 1);
                    pieces.push((stretch, records));
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        Outcome::Written
    }

    /// The database refuses some of `records` for what they are: halves, until it is one.
    async fn divide<'a>(
        &self,
        pieces: &mut Vec<(Stretch, &'a [Arc<Record>])>,
        stretch: Stretch,
        records: &'a [Arc<Record>],
        error: &sqlx::Error,
    ) {
        match records {
            [] => {
                // Not of the records' making, then.
                tracing::error!(%error, partition = stretch.partition, "history not written, trying again");
                count(&self.metrics.failures, 1);
                tokio::time::sleep(RETRY).await;
                pieces.push((stretch, records));
            }
            [record] => {
                let label = Label {
                    topic: &self.chat_topic,
                    partition: stretch.partition.into(),
                    offset: record.seq.offset().cast_signed(),
                    reason: &error.to_string(),
                };
                self.dead_letters.keep_record(record, &label).await;
                count(&self.metrics.dead_letters, 1);
                pieces.push((stretch, &[]));
            }
            _ => {
                let (first, second) = records.split_at(records.len() / 2);
                let middle = second[0].seq.offset();
                pieces.push((Stretch { from: middle, ..stretch }, second));
                pieces.push((Stretch { to: middle, ..stretch }, first));
            }
        }
    }
}

/// Whether PostgreSQL refuses the rows themselves: SQLSTATE class 22, data exception, or 23, integrity constraint
/// violation. Anything else may be mended without them.
fn is_about_data(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}
