//! Where to read on in a partition: PostgreSQL says, and ten minutes before is where it begins.

use std::{collections::HashMap, time::Duration};

use rdkafka::error::KafkaError;
use tokio::time::Instant;

use super::{
    Consumer,
    partition::{Partition, Place},
};
use crate::history::metrics::count;

/// Between two attempts to place a partition.
const RETRY: Duration = Duration::from_millis(200);

/// Why a partition has no place yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("PostgreSQL does not say how far it reaches: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("Kafka does not let it be read from there: {0}")]
    Kafka(#[from] KafkaError),
    #[error(
        "it ends at {end}, but the history reaches up to {next}: this is not the log it was written from"
    )]
    OtherLog { end: u64, next: u64 },
}

impl Consumer {
    /// Finds out where to read on in every partition that has no place, and does so.
    pub(super) async fn place_all(&mut self) {
        let mut places = Vec::new();
        for partition in self.unplaced.clone() {
            match self.place(partition).await {
                Ok(place) => places.push(place),
                // The others need not wait for it.
                Err(error) => self.place_later(partition, &error),
            }
        }
        // Nothing comes before the first record: nothing can be repeated.
        let led = places.iter().filter(|place| place.begin > place.low);
        let led: Vec<_> = led.map(|place| (place.partition, place.begin)).collect();
        let positions = match led.first() {
            None => HashMap::new(),
            Some((first, _)) => match self.group.lead(led.clone()).await {
                Ok(positions) => positions,
                Err(error) => return self.place_later(*first, &error.into()),
            },
        };
        for place in places {
            let partition = place.partition;
            let position = positions.get(&partition).copied().unwrap_or(place.begin);
            if let Err(error) = self.group.seek(partition, position).await {
                return self.place_later(partition, &error.into());
            }
            self.stays += 1;
            self.note_missing(partition, place.next, place.low);
            tracing::debug!(partition, ?place, position, "a partition's place");
            self.engine.counters.history.reached(partition, place.next);
            self.unplaced.remove(&partition);
            self.partitions
                .insert(partition, Partition::new(self.stays, self.epoch.number, &place, position));
        }
    }

    fn place_later(&mut self, partition: i32, error: &PlaceError) {
        tracing::warn!(%error, partition, "a partition of the chat log has to wait for its history");
        count(&self.engine.counters.history.failures, 1);
        self.place_at = Instant::now() + RETRY;
    }

    async fn place(&self, partition: i32) -> Result<Place, PlaceError> {
        let (next, stored): (i64, i64) = sqlx::query_as(
            "select next_offset, told_offset from log_progress where epoch = $1 and partition = $2",
        )
        .bind(self.epoch.number.cast_signed())
        .bind(partition)
        .fetch_one(&self.pool)
        .await?;
        let (next, stored) = (next.cast_unsigned(), stored.cast_unsigned());
        // What was told here since the last batch is not stored yet.
        let told = self.told.get(&partition).copied().unwrap_or_default().max(stored).min(next);
        let (low, end) = self.group.watermarks(partition).await?;
        if end < next {
            return Err(PlaceError::OtherLog { end, next });
        }
        Ok(Place { partition, next, told, begin: told.max(low), low })
    }
}
