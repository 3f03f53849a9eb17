//! Whole nodes over real sockets: people connect, talk and read.

#![allow(clippy::unwrap_used, reason = "a test ends where its assumptions do")]

mod access;
mod client;
mod crash;
mod durable;
mod load;
mod protocol;
mod reading;
mod storm;
mod world;
