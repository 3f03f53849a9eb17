//! How Moyiza is run: the servers it needs, one process with everything, or a cluster on this machine.

pub mod address;
pub mod cli;
pub mod cluster;
pub mod database;
pub mod demo;
pub mod embedded;
pub mod instance;
pub mod log;
pub mod seed;
pub mod servers;
pub mod stop;
pub mod with_servers;
