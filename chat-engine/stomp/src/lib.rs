//! The STOMP protocol without IO: bytes in, frames out, and back. No sockets, no clock, no runtime, so that the
//! engine, the load generator, the benchmarks and the fuzzers share one implementation.
//!
//! * [`Decoder`] finds [`Frame`]s in bytes that arrive in any pieces.
//! * [`Request`] is what a client's frame asks for, with every header it must have.
//! * [`encode`] writes frames; [`MessageTemplate`] writes one MESSAGE for many subscriptions.

mod decode;
mod encode;
mod escape;
mod frame;
mod heartbeat;
mod request;
mod version;

pub use bytestring::ByteString;
pub use decode::{DecodeError, Decoder, Limits};
pub use encode::{MessageTemplate, encode};
pub use frame::{Command, Frame, Headers};
pub use heartbeat::{HeartBeat, HeartBeatError};
pub use request::{Ack, Connect, Request, RequestError, Send, Subscribe};
pub use version::Version;
