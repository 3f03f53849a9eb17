//! One client's connection: WebSocket in, STOMP frames to requests, requests to the rooms and the log; and out,
//! whatever its [`Outbox`] holds.

mod close;
mod deadlines;
pub mod frames;
mod link;
mod outbox;
mod registry;
mod requests;
mod session;

pub use close::CloseReason;
pub use outbox::{Mark, Outbox, Outgoing, Owed};
pub use registry::{ConnectionId, Registry};
pub(crate) use session::serve;
