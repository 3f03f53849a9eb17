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
    /// What the readers of each node have taken, should it die.
    taken: HashMap<Incarnation, Taken>,
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
    /// Whether they are known to be a member. Who joins and subscribes at once reads before the joining is told; who leaves
    /// and joins again may read, before either is told, what comes after both.
    member: bool,
}

/// What the readers of a node are known to have taken, should it die.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// All of them but those below.
    pub all: Seq,
    /// Readers who have taken less.
    pub own: Vec<(UserId, Seq)>,
}

impl Checkpoint {
    /// Of one reader: what was said of them last.
    pub fn of(&self, user: UserId) -> Seq {
        let own = self.own.iter().rev().find(|(who, _)| *who == user);
        own.map_or(self.all, |(_, seq)| *seq)
    }
}

/// The last checkpoint of a node, and who came since.
#[derive(Clone, Debug, Default)]
struct Taken {
    /// The number of the checkpoint.
    number: u64,
    all: Seq,
    /// Those of whom more was said: once each, however often they come.
    own: HashMap<UserId, Seq>,
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
            taken: HashMap::new(),
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
                active.nodes.push(node);
                self.taken.entry(node).or_default().own.insert(user, active.floor);
            }
            // Reading on one more node changes nobody's count; nor does somebody who had no position.
            return Ok(None);
        }
        let position = self.positions.remove(&user);
        let floor = position.unwrap_or_default();
        self.active.insert(user, Active { nodes: vec![node], floor, member: position.is_some() });
        // Until the node's next checkpoint they are known to have taken no more than where they came from.
        self.taken.entry(node).or_default().own.insert(user, floor);
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
        let Some(position) = self.positions.get_mut(&user) else {
            self.remember(user, seq);
            return None;
        };
        if *position >= seq {
            return None;
        }
        *position = seq;
        Some(self.change(user, Some(seq)))
    }

    /// Somebody who is not known to be a member has read up to `seq`. That is of use only for a joining before it that is
    /// still to be told.
    fn remember(&mut self, user: UserId, seq: Seq) {
        if seq > self.told {
            self.active.insert(user, Active { nodes: Vec::new(), floor: seq, member: false });
        }
    }

    /// What the readers of a node are known to have taken by now, in place of what was said before; `None` where it has
    /// none. One that is repeated, by its `number`, does not speak of those who came since it was made.
    pub fn checkpoint(
        &mut self,
        node: Incarnation,
        number: u64,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), Buried> {
        self.check(node)?;
        let Some(checkpoint) = checkpoint else {
            self.taken.remove(&node);
            return Ok(());
        };
        let last = self.taken.entry(node).or_default();
        if last.number < number {
            *last = Taken { number, all: checkpoint.all, own: checkpoint.own.into_iter().collect() };
        }
        Ok(())
    }

    /// The node is dead: nobody reads on it any more, and what it says later is not heard. Its readers fall back to the
    /// last checkpoint: a crash may show a read message as unread, never the other way round.
    pub fn bury(&mut self, node: Incarnation) -> Vec<Change> {
        if !self.buried.contains(&node) {
            self.buried.push_front(node);
            self.buried.truncate(BURIED);
        }
        let Taken { all, own, .. } = self.taken.remove(&node).unwrap_or_default();
        let mut readers: Vec<_> = self
            .active
            .iter()
            .filter(|(_, active)| active.nodes.contains(&node))
            .map(|(user, _)| *user)
            .collect();
        // So that a test runs the same way every time.
        readers.sort_unstable();
        let taken = |user| own.get(&user).copied().unwrap_or(all);
        readers.into_iter().filter_map(|user| self.leave(user, node, taken(user))).collect()
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

    /// Nothing counts them any more. Where they still read, or read again since, is kept, and what they have read of what is
    /// still to be told: they may have joined again, and nobody says either a second time.
    fn remove(&mut self, user: UserId) -> Option<Change> {
        if let Some(active) = self.active.get_mut(&user) {
            active.member = false;
            return self.settle(user);
        }
        let position = self.positions.remove(&user)?;
        self.remember(user, position);
        Some(self.change(user, None))
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

    /// Gives a member who reads nowhere any more their position back, and forgets who is not one.
    fn settle(&mut self, user: UserId) -> Option<Change> {
        let active = self.active.get(&user).filter(|active| active.nodes.is_empty())?;
        let (floor, member) = (active.floor, active.member);
        self.active.remove(&user);
        if !member {
            self.remember(user, floor);
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
