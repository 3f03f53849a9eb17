//! The rules of positions for one room.

use std::collections::{HashMap, VecDeque};

use shared::{Seq, UserId};

use super::{Change, Effect, Incarnation, Life, MemberPositions, Snapshot};

/// Dead nodes that a room remembers.
const BURIED: usize = 64;

/// The node that calls was taken for dead: what it holds is nobody's. It goes on as a new incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this incarnation of the node was taken for dead")]
pub struct Buried;

/// One room's positions and who is reading it. Every operation may be repeated: a second time it changes
/// nothing.
#[derive(Clone, Debug)]
pub struct RoomState {
    life: Life,
    version: u64,
    /// Members who are not reading now.
    positions: HashMap<UserId, Seq>,
    active: HashMap<UserId, Active>,
    /// The last record that was told: an older one was told before.
    told: Seq,
    checkpoints: HashMap<Incarnation, Checkpoint>,
    /// The last dead nodes: one that was only stopped may go on and not know it yet.
    buried: VecDeque<Incarnation>,
}

/// Somebody who is reading now, or did so before their membership was told.
#[derive(Clone, Debug)]
struct Active {
    /// The nodes on which they read: a set, so that a repeated call changes nothing.
    nodes: Vec<Incarnation>,
    /// The position they will not fall below when they stop.
    floor: Seq,
    standing: Standing,
}

/// What the log's consumer has told of the membership of somebody who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing yet: who joins and subscribes at once reads before it is told.
    Unknown,
    Member,
    /// They have left. The node where they read finds out by itself, or they have joined again, which is told next.
    Left,
}

/// What the readers of a node are known to have taken, should it die.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// All of them but those below.
    pub all: Seq,
    /// Readers who have taken less, or who came since.
    pub own: Vec<(UserId, Seq)>,
}

impl Checkpoint {
    /// Of one reader.
    fn of(&self, user: UserId) -> Seq {
        let own = self.own.iter().filter(|(who, _)| *who == user).map(|(_, seq)| *seq).max();
        own.unwrap_or(self.all)
    }
}

impl RoomState {
    /// The state as the database has it: positions that include every record up to `told`.
    pub fn load(life: Life, positions: impl IntoIterator<Item = (UserId, Seq)>, told: Seq) -> Self {
        Self {
            life,
            version: 1,
            positions: positions.into_iter().collect(),
            active: HashMap::new(),
            told,
            checkpoints: HashMap::new(),
            buried: VecDeque::new(),
        }
    }

    /// The positions and their version.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            life: self.life,
            version: self.version,
            positions: self.positions.iter().map(|(user, seq)| (*user, *seq)).collect(),
        }
    }

    /// Where these stand, and the version.
    pub fn positions(&self, users: &[UserId]) -> MemberPositions {
        let position = |user: &UserId| (*user, self.positions.get(user).copied());
        MemberPositions {
            life: self.life,
            version: self.version,
            positions: users.iter().map(position).collect(),
        }
    }

    /// A node's first subscription of `user` that implies reading.
    pub fn enter(&mut self, user: UserId, node: Incarnation) -> Result<Option<Change>, Buried> {
        self.check(node)?;
        if let Some(active) = self.active.get_mut(&user) {
            if !active.nodes.contains(&node) {
                if active.standing == Standing::Left {
                    // They have joined again, which is still to be told.
                    active.standing = Standing::Unknown;
                }
                active.nodes.push(node);
                self.checkpoints.entry(node).or_default().own.push((user, active.floor));
            }
            // Reading on one more node changes nobody's count; nor does somebody who had no position.
            return Ok(None);
        }
        let position = self.positions.remove(&user);
        let floor = position.unwrap_or_default();
        let standing = if position.is_some() { Standing::Member } else { Standing::Unknown };
        self.active.insert(user, Active { nodes: vec![node], floor, standing });
        // Until the node's next checkpoint they are known to have taken no more than where they came from.
        self.checkpoints.entry(node).or_default().own.push((user, floor));
        Ok(position.is_some().then(|| self.change(user, None)))
    }

    /// A node's last subscription of `user` is gone; they had taken everything up to `taken`, which is true however
    /// late it is said.
    pub fn leave(&mut self, user: UserId, node: Incarnation, taken: Seq) -> Option<Change> {
        let reading = self.active.get_mut(&user).and_then(|active| {
            let at = active.nodes.iter().position(|reading| *reading == node)?;
            active.nodes.swap_remove(at);
            active.floor = active.floor.max(taken);
            Some(())
        });
        match reading {
            Some(()) => self.settle(user),
            None => self.advance(user, taken),
        }
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

    /// What the readers of a node are known to have taken by now, in place of what was said before; `None` where it has
    /// none.
    pub fn checkpoint(&mut self, node: Incarnation, checkpoint: Option<Checkpoint>) -> Result<(), Buried> {
        self.check(node)?;
        match checkpoint {
            Some(checkpoint) => self.checkpoints.insert(node, checkpoint),
            None => self.checkpoints.remove(&node),
        };
        Ok(())
    }

    /// The node is dead: nobody reads on it any more, and what it says later is not heard. Its readers fall back to the
    /// last checkpoint: a crash may show a read message as unread, never the other way round.
    pub fn bury(&mut self, node: Incarnation) -> Vec<Change> {
        if !self.buried.contains(&node) {
            self.buried.push_front(node);
            self.buried.truncate(BURIED);
        }
        let checkpoint = self.checkpoints.remove(&node).unwrap_or_default();
        let readers: Vec<_> = self
            .active
            .iter()
            .filter(|(_, active)| active.nodes.contains(&node))
            .map(|(user, _)| *user)
            .collect();
        readers.into_iter().filter_map(|user| self.leave(user, node, checkpoint.of(user))).collect()
    }

    fn check(&self, node: Incarnation) -> Result<(), Buried> {
        if self.buried.contains(&node) { Err(Buried) } else { Ok(()) }
    }

    /// The record at `seq` is in the log.
    pub fn tell(&mut self, seq: Seq, user: UserId, effect: Effect) -> Option<Change> {
        let is_news = seq > self.told;
        self.told = self.told.max(seq);
        match effect {
            // However often it is told, and even if the state was loaded with it: the positions of senders come to the
            // database beside their rows and not with them.
            Effect::Sent => self.advance(user, seq),
            Effect::Joined if is_news => self.join(user, seq),
            Effect::Left if is_news => self.remove(user),
            Effect::Joined | Effect::Left => None,
        }
    }

    /// Where they still read, or read again since, is kept: they may have joined again, and nobody says a second time that
    /// they entered.
    fn remove(&mut self, user: UserId) -> Option<Change> {
        if let Some(active) = self.active.get_mut(&user) {
            active.standing = Standing::Left;
            self.settle(user);
        }
        self.positions.remove(&user).map(|_| self.change(user, None))
    }

    /// A new member starts at the room's head.
    fn join(&mut self, user: UserId, seq: Seq) -> Option<Change> {
        if let Some(active) = self.active.get_mut(&user) {
            active.standing = Standing::Member;
            active.floor = active.floor.max(seq);
            return self.settle(user);
        }
        if self.positions.contains_key(&user) {
            return self.advance(user, seq);
        }
        self.positions.insert(user, seq);
        Some(self.change(user, Some(seq)))
    }

    /// Gives a member who reads nowhere any more their position back, and forgets who has left. How far somebody has read
    /// whose joining is still to be told is kept.
    fn settle(&mut self, user: UserId) -> Option<Change> {
        let active = self.active.get(&user)?;
        if !active.nodes.is_empty() || active.standing == Standing::Unknown {
            return None;
        }
        let (floor, standing) = (active.floor, active.standing);
        self.active.remove(&user);
        if standing == Standing::Left {
            return None;
        }
        self.positions.insert(user, floor);
        Some(self.change(user, Some(floor)))
    }

    fn change(&mut self, user: UserId, to: Option<Seq>) -> Change {
        self.version += 1;
        Change { life: self.life, version: self.version, user, to }
    }
}
