//! Which log this installation is using. Changing the backend, or the number of partitions, takes the next
//! epoch, so that `seq` never runs backwards in a room.

use std::time::Duration;

use shared::{Seq, names::locks};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// How often a node looks whether another epoch has begun.
const LOOK: Duration = Duration::from_secs(1);

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

    fn named(name: &str) -> Self {
        // The table knows these two.
        if name == Self::Kafka.as_str() { Self::Kafka } else { Self::Embedded }
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
         partition and lose their order. With every node stopped, `moyiza log bump-epoch --partitions {wanted}` \
         begins a log with as many"
    )]
    Partitions {
        /// In use.
        found: u16,
        /// Configured.
        wanted: u16,
    },
    /// What is in Kafka's log alone would be missing from then on.
    #[error(
        "the chat log is in Kafka (epoch {0}), and its end may not be in PostgreSQL yet. With every node of the \
         cluster stopped, `moyiza log bump-epoch --to embedded` brings it there"
    )]
    InKafka(u16),
    /// The database does not answer.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// The epoch in use with `backend`. From an embedded log to Kafka a new one is taken: its rows are all there is. The
/// other way is refused, for what Kafka acknowledged need not be a row yet.
pub async fn current(pool: &PgPool, backend: Backend, partitions: u16) -> Result<Epoch, EpochError> {
    let mut transaction = pool.begin().await?;
    // One of several nodes that start at once decides.
    sqlx::query("select pg_advisory_xact_lock($1)").bind(locks::LOG_EPOCH).execute(&mut *transaction).await?;
    let number = match newest(&mut *transaction).await? {
        Some((epoch, found)) if found == backend => {
            if epoch.partitions != partitions {
                return Err(EpochError::Partitions { found: epoch.partitions, wanted: partitions });
            }
            return Ok(epoch);
        }
        Some((epoch, Backend::Kafka)) => return Err(EpochError::InKafka(epoch.number)),
        Some((epoch, Backend::Embedded)) => epoch.number + 1,
        None => 1,
    };
    let epoch = Epoch { number, partitions };
    insert(&mut transaction, epoch, backend).await?;
    transaction.commit().await?;
    Ok(epoch)
}

/// The newest epoch, and who keeps its log.
pub async fn newest(executor: impl PgExecutor<'_>) -> sqlx::Result<Option<(Epoch, Backend)>> {
    let newest: Option<(i16, String, i32)> =
        sqlx::query_as("select epoch, backend, partitions from log_epochs order by epoch desc limit 1")
            .fetch_optional(executor)
            .await?;
    Ok(newest.map(|(number, backend, partitions)| {
        let partitions = u16::try_from(partitions).unwrap_or(u16::MAX);
        (Epoch { number: number.cast_unsigned(), partitions }, Backend::named(&backend))
    }))
}

/// Takes an epoch. Under the lock.
pub(super) async fn insert(
    connection: &mut PgConnection,
    epoch: Epoch,
    backend: Backend,
) -> sqlx::Result<()> {
    sqlx::query("insert into log_epochs (epoch, backend, partitions) values ($1, $2, $3)")
        .bind(epoch.number.cast_signed())
        .bind(backend.as_str())
        .bind(i32::from(epoch.partitions))
        .execute(&mut *connection)
        .await?;
    sqlx::query("insert into log_progress (epoch, partition) select $1, generate_series(0, $2 - 1)")
        .bind(epoch.number.cast_signed())
        .bind(i32::from(epoch.partitions))
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends when `epoch` is no longer the newest: whoever uses it has been left behind, and says so.
pub(crate) async fn superseded(pool: &PgPool, epoch: Epoch) -> anyhow::Error {
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let newest = sqlx::query_scalar::<_, i16>("select max(epoch) from log_epochs").fetch_one(pool).await;
        // While the database is away nobody takes an epoch either.
        if let Ok(newest) = newest
            && newest.cast_unsigned() > epoch.number
        {
            return anyhow::anyhow!(
                "the chat log is in epoch {newest} by now, and this node was started in epoch {}: start it again",
                epoch.number
            );
        }
    }
}
