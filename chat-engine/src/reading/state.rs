//! The rules of positions for one room.

use std::collections::HashMap;

use shared::{Seq, UserId};

use super::{Change, Effect, Incarnation, Snapshot};

/// One room's positions and who is reading it. Every operation may be repeated: a second time it changes
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct RoomState {
    version: u64,
    /// Members who are not reading now.
    positions: HashMap<UserId, Seq>,
    active: HashMap<UserId, Active>,
    /// The last record that was told: an older one was told before.
    told: Seq,
}

/// Somebody who is reading now, or did so before their membership was told.
#[derive(Clone, Debug)]
struct Active {
    /// The nodes on which they read: a set, so that a repeated call changes nothing.
    nodes: Vec<Incarnation>,
    /// The position they will not fall below when they stop.
    floor: Seq,
    /// Whether they are known to be a member. Who joins and subscribes at once is reading before the log's
    /// consumer has told of the joining.
    member: bool,
}

impl RoomState {
    /// The state as the database has it: positions that include every record up to `told`.
    pub fn load(positions: impl IntoIterator<Item = (UserId, Seq)>, told: Seq) -> Self {
        Self { version: 1, positions: positions.into_iter().collect(), active: HashMap::new(), told }
    }

    /// The positions and their version.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            version: self.version,
            positions: self.positions.iter().map(|(user, seq)| (*user, *seq)).collect(),
        }
    }

    /// A node's first subscription of `user` that implies reading.
    pub fn enter(&mut self, user: UserId, node: Incarnation) -> Option<Change> {
        if let Some(active) = self.active.get_mut(&user) {
            if !active.nodes.contains(&node) {
                active.nodes.push(node);
            }
            // Reading on one more node changes nobody's count; nor does somebody who had no position.
            return None;
        }
        let position = self.positions.remove(&user);
        let active =
            Active { nodes: vec![node], floor: position.unwrap_or_default(), member: position.is_some() };
        self.active.insert(user, active);
        position.is_some().then(|| self.change(user, None))
    }

    /// A node's last subscription of `user` is gone; they had taken everything up to `taken`.
    pub fn leave(&mut self, user: UserId, node: Incarnation, taken: Seq) -> Option<Change> {
        let active = self.active.get_mut(&user)?;
        let at = active.nodes.iter().position(|reading| *reading == node)?;
        active.nodes.swap_remove(at);
        active.floor = active.floor.max(taken);
        self.settle(user)
    }

    /// `user` has read up to `seq`: by an ACK, or by a message of their own.
    pub fn advance(&mut self, user: UserId, seq: Seq) -> Option<Change> {
        if let Some(active) = self.active.get_mut(&user) {
            active.floor = active.floor.max(seq);
            return None;
        }
        let position = self.positions.get_mut(&user).filter(|position| **position < seq)?;
        *position = seq;
        Some(self.change(user, Some(seq)))
    }

    /// The record at `seq` is in the log.
    pub fn tell(&mut self, seq: Seq, user: UserId, effect: Effect) -> Option<Change> {
        if seq <= self.told {
            return None;
        }
        self.told = seq;
        match effect {
            Effect::Sent => self.advance(user, seq),
            Effect::Joined => self.join(user, seq),
            Effect::Left => {
                self.active.remove(&user);
                self.positions.remove(&user).map(|_| self.change(user, None))
            }
        }
    }

    /// A new member starts at the room's head.
    fn join(&mut self, user: UserId, seq: Seq) -> Option<Change> {
        if let Some(active) = self.active.get_mut(&user) {
            active.member = true;
            active.floor = active.floor.max(seq);
            return self.settle(user);
        }
        if self.positions.contains_key(&user) {
            return self.advance(user, seq);
        }
        self.positions.insert(user, seq);
        Some(self.change(user, Some(seq)))
    }

    /// Gives a member who reads nowhere any more their position back.
    fn settle(&mut self, user: UserId) -> Option<Change> {
        let active = self.active.get(&user)?;
        if !active.nodes.is_empty() || !active.member {
            return None;
        }
        let floor = active.floor;
        self.active.remove(&user);
        self.positions.insert(user, floor);
        Some(self.change(user, Some(floor)))
    }

    fn change(&mut self, user: UserId, to: Option<Seq>) -> Change {
        self.version += 1;
        Change { version: self.version, user, to }
    }
}
