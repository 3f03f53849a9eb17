//! The real servers: PostgreSQL, Redis and Apache Kafka, obtained, started, waited for and stopped.
//!
//! What is installed is used; the rest is fetched once into a [`Store`] and kept. Every server listens on a
//! free port of 127.0.0.1, writes below the directory it is given and ends with the process that started it,
//! however that process ends (see [`child`]).

pub mod child;
pub mod kafka;
pub mod port;
pub mod postgres;
pub mod redis;
pub mod scratch;
pub mod store;
pub mod user;

pub use kafka::Kafka;
pub use postgres::Postgres;
pub use redis::Redis;
pub use scratch::Scratch;
pub use store::Store;
