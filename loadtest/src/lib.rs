//! A load generator for any STOMP-over-WebSocket broker, and the floor to hold one against: what the least
//! program that writes the same bytes does on the same machine.
//!
//! Every delivery is checked: nothing lost, nothing twice, each sender's messages in their order.

#![expect(clippy::cast_precision_loss, reason = "the figures are for people")]

pub mod check;
mod client;
pub mod compare;
pub mod fault;
pub mod floor;
pub mod frames;
pub mod mark;
pub mod options;
mod plan;
pub mod process;
pub mod report;
mod run;
pub mod template;
pub mod visit;

pub use run::run;
