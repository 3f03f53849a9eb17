//! What the api and the chat engine agree on. They never import each other: they meet in the SQL tables,
//! Kafka topics and Redis keys that this crate names.

pub mod config;
pub mod database;
pub mod event;
pub mod id;
pub mod limits;
pub mod names;
pub mod signing;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;

pub use id::{MeetupId, RoomId, Seq, SessionId, UserId};
