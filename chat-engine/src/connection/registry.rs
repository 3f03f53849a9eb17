//! Who is connected here, to end their connections when their session ends.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::DashMap;
use shared::{SessionId, UserId};

use super::{CloseReason, Outbox};

/// A connection, unique on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The connections of this node, by person.
#[derive(Default)]
pub struct Registry {
    people: DashMap<UserId, HashMap<ConnectionId, (SessionId, Arc<Outbox>)>>,
    /// Those that have not said CONNECT yet.
    fresh: DashMap<ConnectionId, Arc<Outbox>>,
    next: AtomicU64,
}

impl Registry {
    /// A number for a new connection, or for one of its subscriptions.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection that has not said CONNECT yet.
    pub(super) fn open(&self, id: ConnectionId, outbox: Arc<Outbox>) {
        self.fresh.insert(id, outbox);
    }

    /// A connection that never said CONNECT is over.
    pub(super) fn drop_fresh(&self, id: ConnectionId) {
        self.fresh.remove(&id);
    }

    pub(super) fn add(&self, user: UserId, session: SessionId, id: ConnectionId, outbox: Arc<Outbox>) {
        self.people.entry(user).or_default().insert(id, (session, outbox));
        self.fresh.remove(&id);
    }

    pub(super) fn remove(&self, user: UserId, id: ConnectionId) {
        self.people.remove_if_mut(&user, |_, connections| {
            connections.remove(&id);
            connections.is_empty()
        });
    }

    /// Closes every connection of a session.
    pub fn close_session(&self, user: UserId, session: SessionId, reason: CloseReason) {
        if let Some(connections) = self.people.get(&user) {
            let of_session = connections.values().filter(|(id, _)| *id == session);
            of_session.for_each(|(_, outbox)| outbox.close(reason));
        }
    }

    /// Closes every connection.
    pub fn close_all(&self, reason: CloseReason) {
        for outbox in &self.fresh {
            outbox.close(reason);
        }
        for connections in &self.people {
            connections.values().for_each(|(_, outbox)| outbox.close(reason));
        }
    }
}
