//! The instance's database: its own PostgreSQL, or the one `DATABASE_URL` names.

use std::path::Path;

use anyhow::Result;
use shared::database::DatabaseError;
use sqlx::PgPool;

use crate::servers::{Postgres, Store, postgres::Keep};

/// Our own cluster has one database for us beside PostgreSQL's.
const NAME: &str = "moyiza";

/// An open database, up to date.
#[derive(Debug)]
pub struct Database {
    /// Its address.
    pub url: String,
    /// Connections to it.
    pub pool: PgPool,
    /// The server, if it is ours.
    server: Option<Postgres>,
}

impl Database {
    /// Opens `url`, or starts PostgreSQL in `directory`.
    pub async fn open(url: Option<&str>, connections: u32, store: &Store, directory: &Path) -> Result<Self> {
        if let Some(url) = url {
            let pool = shared::database::open(url, connections).await?;
            return Ok(Self { url: url.to_owned(), pool, server: None });
        }
        let server = Postgres::start(store, directory, Keep::Forever).await?;
        let url = server.url(NAME);
        let pool = match shared::database::open(&url, connections).await {
            Err(DatabaseError::Unreachable { source, .. }) if is_no_such_database(&source) => {
                let maintenance = shared::database::connect(&server.url("postgres"), 1).await?;
                sqlx::query("create database moyiza").execute(&maintenance).await?;
                maintenance.close().await;
                shared::database::open(&url, connections).await?
            }
            opened => opened?,
        };
        Ok(Self { url, pool, server: Some(server) })
    }

    /// Opens `url` as it is: its schema is the nodes' business.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        let pool = shared::database::connect(url, connections).await?;
        Ok(Self { url: url.to_owned(), pool, server: None })
    }

    /// Waits until our server has ended by itself, and says why; for ever where the server is not ours.
    pub async fn failed(&self) -> anyhow::Error {
        match &self.server {
            Some(server) => server.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Closes the connections and stops the server, if it is ours.
    pub async fn stop(self) {
        // Connections that somebody still holds are cut by the server's fast shutdown.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), self.pool.close()).await;
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

fn is_no_such_database(error: &sqlx::Error) -> bool {
    // SQLSTATE invalid_catalog_name.
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("3D000"))
}
