//! What every connection of a node works with.

use std::sync::atomic::AtomicBool;

use shared::config::EngineSettings;

use crate::{
    access::Access,
    connection::{CloseReason, Registry},
    log::Log,
    membership::Memberships,
    shard::Shards,
};

/// The parts of a running node.
pub(crate) struct Engine {
    pub(crate) settings: EngineSettings,
    pub(crate) access: Access,
    pub(crate) memberships: Memberships,
    pub(crate) registry: Registry,
    pub(crate) shards: Shards,
    pub(crate) log: Log,
    /// Whether the node has read the log up to where it was when the node started.
    pub(crate) caught_up: AtomicBool,
}

impl Engine {
    /// Closes every connection: the node is going down.
    pub(crate) fn go_away(&self) {
        self.registry.close_all(CloseReason::GoingAway);
    }
}
