//! The one PostgreSQL that both services share: connecting, and bringing its schema up to date.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// The schema, in order. Both services run it at start-up; an advisory lock lets one of them do it.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The oldest server this is tested on, as `server_version_num` says it.
const OLDEST_VERSION: i32 = 150_000;

/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is not one.
    #[error("DATABASE_URL is not a PostgreSQL URL: {0}")]
    Url(#[source] sqlx::Error),
    /// Nobody answers there, or refuses us.
    #[error("cannot reach PostgreSQL at {host}:{port} (DATABASE_URL): {source}")]
    Unreachable {
        /// Where.
        host: String,
        /// Where.
        port: u16,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// Too old.
    #[error("PostgreSQL {found} is not supported: 15 or newer is needed (DATABASE_URL)")]
    Version {
        /// What the server calls itself.
        found: String,
    },
    /// A migration failed, or the schema is newer than this program.
    #[error("cannot bring the database schema up to date: {0}")]
    Migrate(#[from] MigrateError),
    /// Something else went wrong on the way.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// Connects a pool of at most `connections`, checks the server's version and runs the migrations.
pub async fn open(url: &str, connections: u32) -> Result<PgPool, DatabaseError> {
    let pool = connect(url, connections).await?;
    MIGRATIONS.run(&pool).await?;
    Ok(pool)
}

/// Connects a pool of at most `connections` and checks the server's version.
pub async fn connect(url: &str, connections: u32) -> Result<PgPool, DatabaseError> {
    let options = PgConnectOptions::from_str(url).map_err(DatabaseError::Url)?;
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let unreachable = |source| DatabaseError::Unreachable { host, port, source };
    // Not through the pool: it tries again until its time is up, and then no longer knows why.
    let first = PgConnection::connect_with(&options);
    let mut first = match tokio::time::timeout(PATIENCE, first).await {
        Ok(connection) => connection.map_err(unreachable)?,
        Err(_) => return Err(unreachable(sqlx::Error::PoolTimedOut)),
    };
    let (version, name): (i32, String) = sqlx::query_as(
        "select current_setting('server_version_num')::int, current_setting('server_version')",
    )
    .fetch_one(&mut first)
    .await?;
    first.close().await?;
    if version < OLDEST_VERSION {
        return Err(DatabaseError::Version { found: name });
    }
    let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
    Ok(pool.connect_lazy_with(options))
}

/// One connection to the same database, for a task that writes the same statements one after the other all the time: its
/// backend's caches stay warm, nothing is asked before each of them, and they are planned once. (A pool hands its connections
/// out in turn.) It is opened again where it broke.
pub fn for_one_writer(pool: &PgPool) -> PgPool {
    let options = PgConnectOptions::clone(&pool.connect_options());
    PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options.options([("plan_cache_mode", "force_generic_plan")]))
}
