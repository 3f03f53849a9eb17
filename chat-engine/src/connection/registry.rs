//! Who is connected here, to end their connections when their session ends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;
use shared::{SessionId, UserId};

use super::{CloseReason, Outbox};

/// A connection, unique on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The connections of this node.
#[derive(Default)]
pub struct Registry {
    connections: DashMap<ConnectionId, Arc<Outbox>>,
    /// Of those that have said CONNECT, by person.
    people: DashMap<UserId, Vec<(ConnectionId, SessionId)>>,
    next: AtomicU64,
}

impl Registry {
    /// A number for a subscription.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A number for a new connection.
    pub(super) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_id())
    }

    /// A new connection.
    pub(super) fn open(&self, id: ConnectionId, outbox: &Arc<Outbox>) {
        self.connections.insert(id, outbox.clone());
    }

    /// A connection said who it is; false if `limit` of the same person are there already.
    pub(super) fn identify(&self, id: ConnectionId, user: UserId, session: SessionId, limit: usize) -> bool {
        // Most people have one: room for four would be held for nothing.
        let mut connections = self.people.entry(user).or_insert_with(|| Vec::with_capacity(1));
        let admitted = connections.len() < limit;
        if admitted {
            connections.push((id, session));
        }
        admitted
    }

    /// A connection is over.
    pub(super) fn remove(&self, id: ConnectionId, user: Option<UserId>) {
        self.connections.remove(&id);
        if let Some(user) = user {
            self.people.remove_if_mut(&user, |_, connections| {
                connections.retain(|(connection, _)| *connection != id);
                connections.is_empty()
            });
        }
    }

    /// Closes every connection of a session.
    pub fn close_session(&self, user: UserId, session: SessionId, reason: CloseReason) {
        self.close_those(user, |of| of == session, reason);
    }

    /// Closes every connection of a person.
    pub fn close_user(&self, user: UserId, reason: CloseReason) {
        self.close_those(user, |_| true, reason);
    }

    fn close_those(&self, user: UserId, wanted: impl Fn(SessionId) -> bool, reason: CloseReason) {
        let those: Vec<_> = self.people.get(&user).map_or_else(Vec::new, |connections| {
            connections.iter().filter(|(_, session)| wanted(*session)).map(|(id, _)| *id).collect()
        });
        for id in those {
            if let Some(outbox) = self.connections.get(&id) {
                outbox.close(reason);
            }
        }
    }

    /// Closes every connection.
    pub fn close_all(&self, reason: CloseReason) {
        self.connections.iter().for_each(|outbox| outbox.close(reason));
    }
}
