//! Accounts and meetups over REST, and the web page.
//!
//! The way of a request: `server` routes it to a handler (one file each, under the folder of what it is
//! about); extractors (`input`, `auth::access`) turn what came in into values that cannot be bad; the
//! handler runs its SQL; anything else becomes a `Problem`.

pub mod seed;

mod running;
mod server;
mod state;

pub use running::{EventSink, Running, Settings, start};
