//! The chat engine: a STOMP broker over WebSocket whose rooms show, for every message, how many members have
//! not read it yet.
//!
//! The way of a message: [`connection`] decodes a SEND and checks its sender, [`log`] makes it durable, the log's
//! order reaches each room's [`shard`], its [`room`] counts it from the positions that [`reading`] keeps, and the
//! shard frames it for every subscriber's outbox.

pub mod access;
mod aside;
pub mod connection;
mod engine;
mod events;
pub mod history;
mod inboxes;
pub mod log;
pub mod membership;
pub mod reading;
pub mod record;
pub mod room;
mod running;
mod server;
pub mod shard;
pub mod timing;
mod topics;

pub use running::{Backend, Running, Settings, default_origins, start};
