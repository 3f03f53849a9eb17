//! The STOMP protocol without IO: bytes in, frames out, and back. No sockets, no clock, no runtime, so that the
//! engine, the load generator, the benchmarks and the fuzzers share one implementation.
//!
//! * [`Decoder`] finds [`Frame`]s in bytes that arrive in any pieces.
//! * [`Session`] is the server's side of a connection: bytes and instants in, actions and deadlines out.
//! * [`Request`] is what a client's frame asks for, with every header it must have.
//! * [`encode`] writes frames; [`MessageTemplate`] writes one MESSAGE for many subscriptions.

mod decode;
mod encode;
mod escape;
mod frame;
mod heartbeat;
mod request;
pub mod session;
mod unacknowledged;
mod version;

pub use bytestring::ByteString;
pub use decode::{DecodeError, Decoder, Limits};
pub use encode::{MessageTemplate, encode};
pub use frame::{Command, Frame, Headers};
pub use heartbeat::{HeartBeat, HeartBeatError};
pub use request::{Ack, Acknowledgement, Connect, Request, RequestError, Send, Subscribe, access_token};
pub use session::Session;
pub use unacknowledged::{Delivery, NotDelivered, TooMany, Unacknowledged};
pub use version::Version;
