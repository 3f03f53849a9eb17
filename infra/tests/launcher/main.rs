//! The launcher's promises, kept by the real program and real servers.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod acknowledged;
mod circumstances;
// The engine's tests have a client.
#[path = "../../../chat-engine/tests/node/client.rs"]
#[allow(dead_code)]
mod client;
mod cluster;
mod embedded;
mod going_back;
mod old_postgres;
mod people;
mod process;
mod with_servers;
