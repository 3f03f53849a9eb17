//! Accounts and meetups over REST, and the web page.
//!
//! The way of a request: `server` routes it to a handler (one file each, in the folder of what it is about);
//! extractors (`input`, `auth::access`) turn what came in into values that cannot be bad; the handler runs
//! its SQL; whatever goes wrong is a `problem`. What happened to meetups and people goes into the outbox in
//! the same transaction, and `relay` takes it to the engines.

mod account;
mod auth;
mod input;
mod mail;
mod me;
mod meetups;
mod problem;
mod relay;
mod running;
mod server;
mod state;

pub mod seed;

pub use running::{EventSink, Running, Settings, start};
