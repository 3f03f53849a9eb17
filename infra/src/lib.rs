//! How Moyiza is run: the servers it needs, one process with everything, or a cluster on this machine.

pub mod servers;
pub mod stop;
pub mod with_servers;
