//! Attacks on the protocol crates. Each function makes one attempt out of any bytes and panics when something does
//! not hold that must hold whatever a peer sends.
//!
//! * [`codec`]: bytes to STOMP frames.
//! * [`websocket`]: bytes to parts of WebSocket messages.
//! * [`session`]: everything that can happen to a STOMP connection, in any order.
//! * [`connection`]: bytes to WebSocket to STOMP, fed as the engine's connection feeds them.
//!
//! `run.sh` lets a fuzzer look for such bytes. What is in `corpus/` is also tried by every `cargo test`.

#![expect(clippy::missing_panics_doc, reason = "to panic is what they are for")]

mod broker;
mod codec;
mod connection;
mod pieces;
mod session;
mod websocket;

pub use codec::codec;
pub use connection::connection;
pub use session::session;
pub use websocket::websocket;
