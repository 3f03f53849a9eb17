//! Which log this installation is using. Changing the backend, or the number of partitions, takes the next
//! epoch, so that `seq` never runs backwards in a room.

use shared::{Seq, names::locks};
use sqlx::PgPool;

/// Who keeps the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A process that commits to PostgreSQL.
    Embedded,
    /// Apache Kafka.
    Kafka,
}

impl Backend {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kafka => "kafka",
        }
    }
}

/// A log of this installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: u16,
    /// Its partitions.
    pub partitions: u16,
}

impl Epoch {
    /// The place of the record at `offset` of a partition.
    pub const fn seq(self, offset: u64) -> Seq {
        Seq::new(self.number, offset)
    }

    /// The place after every record it can hold.
    pub fn end(self) -> Seq {
        self.seq((1 << 40) - 1)
    }

    /// The place just before the record at `offset`: everything of earlier epochs and lower offsets is at or
    /// before it.
    pub fn before(self, offset: u64) -> Seq {
        // The seq of offset 0 of epoch 1 is 2^40: there is always one before.
        Seq::from_raw(self.seq(offset).get() - 1).unwrap_or(Seq::ZERO)
    }
}

/// Why there is no log to use.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The setting and the log disagree.
    #[error(
        "the chat log has {found} partitions, but MOYIZA_LOG_PARTITIONS says {wanted}: rooms would change \
         partition and lose their order"
    )]
    Partitions {
        /// In use.
        found: u16,
        /// Configured.
        wanted: u16,
    },
    /// The database does not answer.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// The epoch in use with `backend`; a new one if another backend was used last.
pub async fn current(pool: &PgPool, backend: Backend, partitions: u16) -> Result<Epoch, EpochError> {
    let mut transaction = pool.begin().await?;
    // One of several nodes that start at once decides.
    sqlx::query("select pg_advisory_xact_lock($1)").bind(locks::LOG_EPOCH).execute(&mut *transaction).await?;
    let last: Option<(i16, String, i32)> =
        sqlx::query_as("select epoch, backend, partitions from log_epochs order by epoch desc limit 1")
            .fetch_optional(&mut *transaction)
            .await?;
    let last_number = last.as_ref().map_or(0, |(number, ..)| number.cast_unsigned());
    if let Some((_, name, found)) = last
        && name == backend.as_str()
    {
        let found = u16::try_from(found).unwrap_or(u16::MAX);
        if found != partitions {
            return Err(EpochError::Partitions { found, wanted: partitions });
        }
        return Ok(Epoch { number: last_number, partitions });
    }
    let number = last_number + 1;
    sqlx::query("insert into log_epochs (epoch, backend, partitions) values ($1, $2, $3)")
        .bind(number.cast_signed())
        .bind(backend.as_str())
        .bind(i32::from(partitions))
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into log_progress (epoch, partition) select $1, generate_series(0, $2 - 1)")
        .bind(number.cast_signed())
        .bind(i32::from(partitions))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Epoch { number, partitions })
}
