//! For tests: the real servers they talk to, and a database of their own on one of them.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use crate::database;

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
