//! For tests: the real servers they talk to, a database of their own on one of them, and what they wait for.

use std::{fmt::Debug, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use crate::{Seq, UserId, database};

/// Longer than anything here takes, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at what nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The address of a server that `moyiza with-servers` started.
///
/// # Panics
/// If it did not.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `make test`, or `moyiza with-servers -- cargo test`")
    })
}

/// A prefix that no other test uses, for names on servers that tests share.
///
/// # Panics
/// If the machine has no randomness.
pub fn unique(name: &str) -> String {
    format!("{name}_{:016x}", getrandom::u64().expect("randomness"))
}

/// A place in a log, by its number.
///
/// # Panics
/// If there is no such place.
pub fn seq(raw: i64) -> Seq {
    Seq::from_raw(raw).expect("a seq")
}

/// A user, by their number.
///
/// # Panics
/// If nobody can have it.
pub fn user(id: i64) -> UserId {
    id.try_into().expect("a user's id")
}

/// Waits until something is so which nobody announces: see [`becomes`].
///
/// # Panics
/// If it is not so in time.
pub async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    becomes(what, condition, |is_so| *is_so).await;
}

/// What there is to see, once it is as wanted.
///
/// All that tests ask for again and again, they ask for here, because no event tells of it: a kernel does not say what the
/// other side has acknowledged, nor PostgreSQL who waits for a lock or that a row has come, nor Kafka that it has taken up a
/// setting or given up on a member, nor Redis who subscribes to a channel; and a node's metrics and readiness are there to
/// be asked for. What does announce itself (a frame, a line of a process, its end, a key of Redis) is awaited instead.
///
/// # Panics
/// If it is not as wanted in time: with `what` was waited for, and what was seen last.
pub async fn becomes<T: Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let mut last = None;
    let looking = async {
        loop {
            let seen = look().await;
            if wanted(&seen) {
                return seen;
            }
            last = Some(seen);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, looking).await;
    in_time.unwrap_or_else(|_| panic!("waited for {what}, and last saw {last:?}"))
}

/// Runs `test` on a fresh database with the current schema and drops it, however the test ends. The URL is for
/// processes that open a pool of their own.
///
/// # Panics
/// If the test does, or the server is not there.
pub async fn with_database(test: impl AsyncFnOnce(&PgPool, &str)) {
    let server = server("MOYIZA_TEST_DATABASE_URL");
    let name = unique("test");
    let mut admin = PgConnection::connect(&server).await.expect("the test server answers");
    execute(&mut admin, format!("create database {name} template template0")).await;
    let (authority, _) = server.rsplit_once('/').expect("the URL names a database");
    let url = format!("{authority}/{name}");
    let pool = database::open(&url, 8).await.expect("the database opens");
    let outcome = AssertUnwindSafe(test(&pool, &url)).catch_unwind().await;
    pool.close().await;
    execute(&mut admin, format!("drop database {name} with (force)")).await;
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// SQL made here, of nothing but names made here.
async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await.expect("the statement works");
}
