//! The launcher's promises, kept by the real program and real servers.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod circumstances;
mod cluster;
mod embedded;
mod old_postgres;
mod people;
mod process;
mod with_servers;
