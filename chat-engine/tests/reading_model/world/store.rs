//! Redis and PostgreSQL, as the nodes see them: the production rules of a room, behind what `functions.lua` refuses.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use chat_engine::reading::{
    Change, Effect, Incarnation, Life, Positions, Snapshot,
    state::{Buried, Checkpoint, RoomState},
};
use shared::{Seq, UserId};

use crate::{breaks::Break, user};

/// Somebody whom no room knows.
const NOBODY: i64 = 1_000;
/// Changes of a room that are kept.
const KEPT: usize = 12;
/// Between a node's incarnation and one that takes its place where a rule is broken.
const APART: u64 = 1_000_000;

/// Why Redis does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It does not have the room, or that of an earlier Redis.
    Cold,
    /// The caller does not know of the new Redis.
    Stale,
    /// The node was taken for dead.
    Lost,
    /// It has not listed the room in this life.
    Unlisted,
}

/// What Redis knows of nodes.
#[derive(Clone, Default)]
pub(crate) struct Nodes {
    /// Those that hold a lease.
    pub(crate) living: BTreeSet<u64>,
    /// Those that are being buried, and the rooms where they are not yet.
    pub(crate) dying: BTreeMap<u64, BTreeSet<usize>>,
    /// Where each has readers.
    pub(crate) listed: BTreeMap<u64, BTreeSet<usize>>,
}

/// A room in Redis.
#[derive(Clone)]
pub(crate) struct Loaded {
    generation: u64,
    state: RoomState,
    /// The last changes.
    changes: VecDeque<Change>,
    /// Where a rule is broken: who has fallen below where they came from.
    fallen: BTreeMap<UserId, Seq>,
}

pub(crate) struct Store {
    breaking: Option<Break>,
    /// How many Redises there have been, as PostgreSQL counts them.
    pub(crate) generation: u64,
    rooms: Vec<Option<Loaded>>,
    pub(crate) nodes: Nodes,
    /// What a replica has of that.
    replica: (Vec<Option<Loaded>>, Nodes),
    /// Who is reading where, as Redis was told, for the checkpoints that count.
    pub(crate) entered: BTreeSet<(usize, u64, UserId)>,
    /// PostgreSQL's positions.
    pub(crate) rows: Vec<BTreeMap<UserId, Seq>>,
    /// The last record that PostgreSQL has.
    pub(crate) stored: Seq,
    lives: u64,
}

impl Nodes {
    /// Forgets a node that reads nowhere.
    pub(crate) fn strike(&mut self, node: u64) {
        self.living.remove(&node);
        self.dying.remove(&node);
        self.listed.remove(&node);
    }
}

impl Store {
    pub(crate) fn new(rows: Vec<BTreeMap<UserId, Seq>>, breaking: Option<Break>) -> Self {
        Self {
            breaking,
            generation: 1,
            rooms: vec![None; rows.len()],
            nodes: Nodes::default(),
            replica: (vec![None; rows.len()], Nodes::default()),
            entered: BTreeSet::new(),
            rows,
            stored: Seq::ZERO,
            lives: 0,
        }
    }

    /// The room, for a caller that knows of so many Redises.
    fn room(&mut self, room: usize, known: u64) -> Result<&mut Loaded, Refusal> {
        let Some(loaded) = &mut self.rooms[room] else { return Err(Refusal::Cold) };
        match loaded.generation.cmp(&known) {
            Ordering::Less => Err(Refusal::Cold),
            Ordering::Equal => Ok(loaded),
            Ordering::Greater => Err(Refusal::Stale),
        }
    }

    /// Loads a room that is cold. The life that began, if one did.
    pub(crate) fn load(&mut self, room: usize, known: u64) -> Option<Life> {
        if self.room(room, known).err() != Some(Refusal::Cold) {
            return None;
        }
        self.lives += 1;
        let life = Life(self.lives);
        let state = RoomState::load(life, self.rows[room].clone(), self.stored);
        self.rooms[room] =
            Some(Loaded { generation: known, state, changes: VecDeque::new(), fallen: BTreeMap::new() });
        self.entered.retain(|(other, ..)| *other != room);
        Some(life)
    }

    /// Redis is emptied.
    pub(crate) fn flush(&mut self) {
        self.rooms.fill(None);
        self.nodes = Nodes::default();
    }

    /// A replica has what there is by now.
    pub(crate) fn replicate(&mut self) {
        self.replica = (self.rooms.clone(), self.nodes.clone());
    }

    /// A replica takes over that has not got the last writes.
    pub(crate) fn fail_over(&mut self) {
        self.generation += 1;
        (self.rooms, self.nodes) = self.replica.clone();
    }

    /// The life and the version of a room, unless it is cold.
    pub(crate) fn version(&self, room: usize) -> Option<(Life, u64)> {
        self.rooms[room].as_ref().map(|loaded| {
            let snapshot = loaded.state.snapshot();
            (snapshot.life, snapshot.version)
        })
    }

    pub(crate) fn snapshot(&mut self, room: usize, known: u64) -> Result<Snapshot, Refusal> {
        let loaded = self.room(room, known)?;
        let mut snapshot = loaded.state.snapshot();
        for (user, at) in &mut snapshot.positions {
            *at = loaded.fallen.get(user).copied().unwrap_or(*at);
        }
        Ok(snapshot)
    }

    /// What a copy lacks: the changes since, where they are all kept.
    pub(crate) fn positions(
        &mut self,
        room: usize,
        known: u64,
        since: Option<(Life, u64)>,
    ) -> Result<Positions, Refusal> {
        let snapshot = self.snapshot(room, known)?;
        let loaded = self.room(room, known)?;
        let missing = since.filter(|(life, version)| *life == snapshot.life && *version <= snapshot.version);
        let missing = missing.and_then(|(_, version)| usize::try_from(snapshot.version - version).ok());
        Ok(match missing.filter(|missing| *missing <= loaded.changes.len()) {
            Some(missing) => {
                let before = loaded.changes.len() - missing;
                Positions::Since(loaded.changes.range(before..).copied().collect())
            }
            None => Positions::Whole(snapshot),
        })
    }

    /// A node's number, as a Redis that hears everybody would take it.
    fn heard(&self, room: usize, node: Incarnation) -> Incarnation {
        let mut probe = match &self.rooms[room] {
            Some(loaded) if self.breaking == Some(Break::Stale) => loaded.state.clone(),
            _ => return node,
        };
        if probe.checkpoint(node, 0, None).is_err() { Incarnation(node.0 + APART) } else { node }
    }

    pub(crate) fn enter(
        &mut self,
        room: usize,
        known: u64,
        user: UserId,
        node: Incarnation,
        listed: Option<Life>,
    ) -> Result<Option<Change>, Refusal> {
        let again = self.entered.contains(&(room, node.0, user));
        let counted = again && self.breaking == Some(Break::Repeat);
        let (heard, listless) = (self.heard(room, node), self.breaking == Some(Break::List));
        let loaded = self.room(room, known)?;
        let heard = if counted { Incarnation(heard.0 + APART) } else { heard };
        if !listless && listed != Some(loaded.state.snapshot().life) {
            return Err(Refusal::Unlisted);
        }
        let change = loaded.state.enter(user, heard).map_err(|Buried| Refusal::Lost)?;
        loaded.changed(change);
        self.entered.insert((room, node.0, user));
        Ok(change)
    }

    pub(crate) fn leave(
        &mut self,
        room: usize,
        known: u64,
        user: UserId,
        node: Incarnation,
        taken: Seq,
    ) -> Result<Option<Change>, Refusal> {
        let (heard, falls) = (self.heard(room, node), self.breaking == Some(Break::Floor));
        let loaded = self.room(room, known)?;
        let mut change = loaded.state.leave(user, heard, taken);
        let lower = change.as_mut().filter(|change| falls && change.to > Some(taken));
        let has_fallen = lower.is_some();
        if let Some(change) = lower {
            change.to = Some(taken);
        }
        loaded.changed(change);
        if has_fallen {
            loaded.fallen.insert(user, taken);
        }
        self.entered.remove(&(room, node.0, user));
        Ok(change)
    }

    pub(crate) fn advance(
        &mut self,
        room: usize,
        known: u64,
        user: UserId,
        seq: Seq,
    ) -> Result<Option<Change>, Refusal> {
        let forgets = self.breaking == Some(Break::Advance);
        let loaded = self.room(room, known)?;
        if forgets && is_reading(&loaded.state, user) {
            return Ok(None);
        }
        let change = loaded.state.advance(user, seq);
        loaded.changed(change);
        Ok(change)
    }

    pub(crate) fn checkpoint(
        &mut self,
        room: usize,
        known: u64,
        node: Incarnation,
        number: u64,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), Refusal> {
        let heard = self.heard(room, node);
        let loaded = self.room(room, known)?;
        loaded.state.checkpoint(heard, number, checkpoint).map_err(|Buried| Refusal::Lost)
    }

    pub(crate) fn bury(
        &mut self,
        room: usize,
        known: u64,
        node: Incarnation,
    ) -> Result<Vec<Change>, Refusal> {
        let loaded = self.room(room, known)?;
        let changes = loaded.state.bury(node);
        loaded.changed(changes.iter().copied());
        self.entered.retain(|(other, buried, _)| *other != room || *buried != node.0);
        Ok(changes)
    }

    pub(crate) fn tell(
        &mut self,
        room: usize,
        known: u64,
        seq: Seq,
        who: UserId,
        effect: Effect,
    ) -> Result<Option<Change>, Refusal> {
        let forgets = self.breaking == Some(Break::Advance) && effect == Effect::Sent;
        let loaded = self.room(room, known)?;
        let who = if forgets && is_reading(&loaded.state, who) { user(NOBODY) } else { who };
        let change = loaded.state.tell(seq, who, effect);
        loaded.changed(change);
        // At least once.
        assert_eq!(loaded.state.tell(seq, who, effect), None);
        Ok(change)
    }
}

impl Loaded {
    /// Keeps what has changed.
    fn changed(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.fallen.remove(&change.user);
            self.changes.push_back(change);
            if self.changes.len() > KEPT {
                self.changes.pop_front();
            }
        }
    }
}

fn is_reading(state: &RoomState, user: UserId) -> bool {
    state.snapshot().positions.iter().all(|(other, _)| *other != user)
}
