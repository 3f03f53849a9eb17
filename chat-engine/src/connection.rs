//! One client's connection: WebSocket in, STOMP frames to requests, requests to the rooms, the topics and the log;
//! and out, whatever its [`Outbox`] holds.

mod close;
pub(crate) mod door;
pub(crate) mod echo;
pub(crate) mod flusher;
pub mod frames;
mod in_flight;
mod outbox;
pub(crate) mod outlet;
mod queue;
mod rate;
mod registry;
mod requests;
mod session;
mod timers;
mod transport;

pub use close::CloseReason;
pub use flusher::Batch;
pub use in_flight::Mark;
#[cfg(test)]
pub(crate) use outbox::tests::pair as out_of_the_way;
pub use outbox::{Expulsion, Outbox, Outgoing, Owed};
pub use outlet::Outlet;
pub(crate) use outlet::{Answerable, Message};
pub(crate) use rate::Rate;
pub use registry::{ConnectionId, Registry};
pub(crate) use requests::{DEFAULT_PAGE, MAX_PAGE, NEWEST};
pub(crate) use session::{Upgraded, serve};
pub(crate) use timers::Timers;
