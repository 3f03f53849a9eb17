//! What nodes tell Redis: in order, as many at a time as are waiting; what was not answered is said again.

use chat_engine::reading::{Incarnation, state::Checkpoint};
use shared::{Seq, UserId};

use super::{News, World, store::Refusal};
use crate::naive::Keeper;

#[derive(Clone, Debug)]
pub(super) enum Call {
    Enter {
        room: usize,
        user: UserId,
    },
    Leave {
        room: usize,
        user: UserId,
        taken: Seq,
        held: Keeper,
    },
    Read {
        room: usize,
        user: UserId,
        seq: Seq,
        held: Keeper,
    },
    Checkpoint {
        room: usize,
        checkpoint: Checkpoint,
        number: u64,
        /// Whom it speaks of.
        readers: Vec<UserId>,
        drafted: Keeper,
    },
    /// Nobody follows the room on the node any more.
    Close {
        room: usize,
    },
}

impl Call {
    fn room(&self) -> usize {
        match self {
            Self::Enter { room, .. }
            | Self::Leave { room, .. }
            | Self::Read { room, .. }
            | Self::Checkpoint { room, .. }
            | Self::Close { room } => *room,
        }
    }
}

/// What becomes of a batch of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All are made and answered.
    Good,
    /// So many are made; none is answered.
    Broken(usize),
}

impl World {
    /// Node `n` makes the calls that wait, and the same again later if not all were answered and done.
    pub(super) fn make_calls(&mut self, n: usize, count: usize, way: Way) {
        self.say_again(n);
        let batch: Vec<_> = self.nodes[n].calls.iter().take(count).cloned().collect();
        if batch.is_empty() {
            return;
        }
        if !self.list_rooms(n, &batch) {
            self.begin_again(n);
            return;
        }
        let incarnation = self.nodes[n].incarnation;
        let made = if let Way::Broken(made) = way { made.min(batch.len()) } else { batch.len() };
        let (mut lost, mut stale, mut cold, mut unlisted) = (false, false, Vec::new(), Vec::new());
        for (at, call) in batch.iter().enumerate() {
            if at >= made {
                break;
            }
            self.trace(|| format!("node {n} as {}, {way:?}: {call:?}", incarnation.0));
            match self.make(n, incarnation, call) {
                Ok(()) => {}
                // There is nothing to be cleared away.
                Err(Refusal::Cold) if matches!(call, Call::Close { .. }) => {}
                Err(Refusal::Cold) => cold.push(call.room()),
                Err(Refusal::Stale) => stale = true,
                Err(Refusal::Lost) => lost = true,
                Err(Refusal::Unlisted) => unlisted.push(call.room()),
            }
        }
        if way != Way::Good {
            return;
        }
        if lost {
            self.begin_again(n);
        }
        if stale {
            self.learn(n);
        }
        let done = !lost && !stale && cold.is_empty() && unlisted.is_empty();
        for room in unlisted {
            self.nodes[n].listed.remove(&room);
        }
        for room in cold {
            let known = self.nodes[n].known;
            self.load(room, known);
        }
        if done {
            for call in &batch {
                self.nodes[n].calls.pop_front();
                self.remember(n, call);
            }
            self.strike_rooms(n, &batch);
        }
    }

    /// Rooms that get their first reader are listed before they do. Whether the node may.
    fn list_rooms(&mut self, n: usize, batch: &[Call]) -> bool {
        let node = &mut self.nodes[n];
        if std::mem::replace(&mut node.listed_in, node.known) != node.known {
            // A Redis that took over may not have the list.
            node.listed.clear();
        }
        let entered = batch.iter().filter(|call| matches!(call, Call::Enter { .. })).map(Call::room);
        let new: Vec<_> = entered.filter(|room| !node.listed.contains_key(room)).collect();
        if !new.is_empty() {
            if !self.store.nodes.living.contains(&node.incarnation.0) {
                return false;
            }
            self.store.nodes.listed.entry(node.incarnation.0).or_default().extend(&new);
            let lives = new.into_iter().map(|room| (room, self.store.version(room).map(|(life, _)| life)));
            node.listed.extend(lives);
        }
        true
    }

    /// Rooms without readers are struck off the list; one that was opened again stays.
    fn strike_rooms(&mut self, n: usize, batch: &[Call]) {
        let mut closed = std::collections::BTreeSet::new();
        for call in batch {
            match call {
                Call::Close { room } => drop(closed.insert(*room)),
                Call::Enter { room, .. } => drop(closed.remove(room)),
                _ => {}
            }
        }
        let node = &mut self.nodes[n];
        for room in closed {
            node.listed.remove(&room);
            if let Some(listed) = self.store.nodes.listed.get_mut(&node.incarnation.0) {
                listed.remove(&room);
            }
        }
    }

    /// What is said of readings is remembered for some seconds; the rest is not.
    fn remember(&mut self, n: usize, call: &Call) {
        let (Call::Leave { room, user, taken: seq, held } | Call::Read { room, user, seq, held }) = *call
        else {
            self.forget_call(call);
            return;
        };
        let said = &mut self.nodes[n].said;
        if said.iter().all(|(.., other)| *other != held) {
            said.push((room, user, seq, held));
        }
    }

    /// The node does not make the call any more.
    pub(super) fn forget_call(&mut self, call: &Call) {
        match call {
            Call::Leave { room, user, held, .. } | Call::Read { room, user, held, .. } => {
                self.naive[*room].forget(*user, *held);
            }
            Call::Checkpoint { room, drafted, .. } => {
                self.naive[*room].forget_all(|keeper| keeper == *drafted);
            }
            Call::Enter { .. } | Call::Close { .. } => {}
        }
    }

    /// Another Redis, or one that has forgotten the node, is told again what another was told lately.
    fn say_again(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let under = (node.known, node.incarnation);
        if std::mem::replace(&mut node.under, under) != under {
            for (room, user, seq, held) in node.said.iter().rev().copied() {
                node.calls.push_front(Call::Read { room, user, seq, held });
            }
        }
    }

    /// Some seconds have passed.
    pub(super) fn forget_said(&mut self, n: usize) {
        for (room, user, _, held) in std::mem::take(&mut self.nodes[n].said) {
            self.naive[room].forget(user, held);
        }
    }

    /// PostgreSQL is told, too, some time later, whatever becomes of the call.
    pub(super) fn journal(&mut self, n: usize, room: usize, user: UserId, seq: Seq, held: Keeper) {
        let journal = Keeper::Journal(self.number());
        self.naive[room].tell(user, held, journal, Some(seq));
        self.nodes[n].journal.push((room, user, seq, journal));
    }

    pub(super) fn write_journal(&mut self, n: usize) {
        for (room, user, seq, journal) in std::mem::take(&mut self.nodes[n].journal) {
            // Whoever is no member has no row, and gets none.
            if let Some(row) = self.store.rows[room].get_mut(&user) {
                *row = seq.max(*row);
                self.naive[room].tell(user, journal, Keeper::Postgres, None);
            }
            self.naive[room].forget(user, journal);
        }
    }

    fn make(&mut self, n: usize, node: Incarnation, call: &Call) -> Result<(), Refusal> {
        let known = self.nodes[n].known;
        match call {
            Call::Enter { room, user } => {
                let is_new = !self.store.entered.contains(&(*room, node.0, *user));
                let listed = self.nodes[n].listed.get(room).copied().flatten();
                let change = self.store.enter(*room, known, *user, node, listed)?;
                if is_new {
                    // Until the next checkpoint they have taken no more than Redis knows anyway.
                    self.naive[*room].forget(*user, Keeper::Checkpoint(node.0));
                }
                self.publish(*room, change.map(News::Changed));
            }
            Call::Leave { room, user, taken, held } => {
                let change = self.store.leave(*room, known, *user, node, *taken)?;
                self.naive[*room].tell(*user, *held, Keeper::Redis, None);
                self.publish(*room, change.map(News::Changed));
            }
            Call::Read { room, user, seq, held } => {
                let change = self.store.advance(*room, known, *user, *seq)?;
                self.naive[*room].tell(*user, *held, Keeper::Redis, None);
                self.publish(*room, change.map(News::Changed));
            }
            Call::Checkpoint { room, checkpoint, number, readers, drafted } => {
                self.store.checkpoint(*room, known, node, *number, Some(checkpoint.clone()))?;
                let last = self.checkpoints.entry((*room, node.0)).or_default();
                // One that is repeated does not speak of those who came since it was made.
                if *last < *number {
                    *last = *number;
                    self.naive[*room].forget_all(|keeper| keeper == Keeper::Checkpoint(node.0));
                    for user in readers {
                        self.naive[*room].tell(*user, *drafted, Keeper::Checkpoint(node.0), None);
                    }
                }
            }
            Call::Close { room } => {
                self.store.checkpoint(*room, known, node, 0, None)?;
                self.checkpoints.remove(&(*room, node.0));
                self.naive[*room].forget_all(|keeper| keeper == Keeper::Checkpoint(node.0));
            }
        }
        Ok(())
    }
}
