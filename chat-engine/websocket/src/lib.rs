//! The WebSocket protocol (RFC 6455) with compressed messages (RFC 7692) without IO: bytes in, parts of messages
//! out, and back. No sockets, no clock, no runtime, so that the engine, the load generator and the fuzzers share
//! one implementation. The HTTP handshake is the caller's.
//!
//! * [`Receiver`] reads what a peer sends, unmasking it in the caller's buffer; it never assembles a message.
//! * [`FrameBuffer`] takes a payload and becomes a frame without copying it; [`frame`], [`ping`], [`pong`] and
//!   [`close`] write whole frames of a server, [`mask_frame`] those of a client.
//! * [`Deflate`] is what both sides agreed on about compression.

mod close;
mod deflate;
mod header;
mod mask;
mod receive;
mod send;
mod utf8;
mod violation;

pub use close::CloseFrame;
pub use deflate::Deflate;
pub use header::{FrameHeader, HEADER_MAX, OpCode};
pub use receive::{DataKind, Event, Limits, Receiver, Role};
pub use send::{FrameBuffer, close, frame, mask_frame, ping, pong};
pub use violation::Violation;

/// Bytes that a control frame may carry (RFC 6455 §5.5).
pub const CONTROL_MAX: usize = 125;
