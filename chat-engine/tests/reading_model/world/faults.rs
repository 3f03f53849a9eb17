//! What goes wrong: nodes die or are stopped, ways are cut, Redis loses what it knew.

use chat_engine::{reading::Incarnation, room::Room};

use super::{Call, News, ROOMS, World, store::Refusal};
use crate::{
    breaks::Break,
    naive::{Keeper, Naive},
    tab::Tab,
};

impl World {
    /// A node is killed, and started again. Nobody has noticed yet.
    pub(super) fn kill(&mut self, n: usize) {
        self.trace(|| format!("node {n} dies"));
        let started = self.start_node();
        let mut dead = std::mem::replace(&mut self.nodes[n], started);
        // What this hears of leavings comes from a log, too.
        self.nodes[n].leavers = std::mem::take(&mut dead.leavers);
        self.nodes[n].worked = dead.worked;
        for call in &dead.calls {
            self.forget_call(call);
        }
        for (room, user, _, journal) in dead.journal.into_iter().chain(dead.said) {
            self.naive[room].forget(user, journal);
        }
        for (r, open) in dead.rooms {
            for (user, held) in open.sessions.into_iter().chain(open.acknowledged) {
                self.naive[r].forget(user, held);
            }
            for tab in open.tabs.into_values() {
                if self.dice.below(2) == 0 {
                    self.keep(r, tab);
                }
            }
        }
    }

    /// A node is stopped, and goes on some time.
    pub(super) fn freeze(&mut self, n: usize) {
        self.trace(|| format!("node {n} is frozen"));
        self.nodes[n].is_frozen = true;
    }

    /// A node was silent for longer than its lease: it is to be buried, dead or not.
    pub(super) fn expire(&mut self, node: u64) {
        if self.store.nodes.living.remove(&node) {
            self.trace(|| format!("the lease of {node} is over"));
            let rooms = self.store.nodes.listed.remove(&node).unwrap_or_default();
            self.store.nodes.dying.insert(node, rooms);
        }
    }

    /// Leases of nodes that do not renew them.
    pub(super) fn expire_some(&mut self) {
        let silent = |n: &u64| {
            let node = self.nodes.iter().find(|node| node.incarnation.0 == *n);
            node.is_none_or(|node| node.is_frozen || node.is_cut)
        };
        let silent: Vec<_> = self.store.nodes.living.iter().copied().filter(silent).collect();
        if !silent.is_empty() {
            let at = self.dice.below(silent.len());
            self.expire(silent[at]);
        }
    }

    /// Node `n` goes on with burying a dead node: one room.
    pub(super) fn bury_next(&mut self, n: usize) {
        let Some((dead, rooms)) = self.store.nodes.dying.first_key_value() else { return };
        let dead = *dead;
        let Some(r) = rooms.first().copied() else {
            self.store.nodes.dying.remove(&dead);
            return;
        };
        if self.bury(n, r, dead)
            && let Some(rooms) = self.store.nodes.dying.get_mut(&dead)
        {
            rooms.remove(&r);
        }
    }

    /// Takes a dead node out of a room; `false` if this has to be said again.
    fn bury(&mut self, n: usize, r: usize, dead: u64) -> bool {
        let readers = self.store.entered.iter().filter(|(room, node, _)| (*room, *node) == (r, dead));
        let readers: Vec<_> = readers.map(|(.., user)| *user).collect();
        match self.store.bury(r, self.nodes[n].known, Incarnation(dead)) {
            Ok(changes) => {
                self.trace(|| format!("node {n} buries {dead} in room {r}"));
                for user in readers {
                    self.naive[r].tell(user, Keeper::Checkpoint(dead), Keeper::Redis, None);
                }
                self.publish(r, changes.into_iter().map(News::Changed));
            }
            // It has nobody to be taken out.
            Err(Refusal::Cold) => {}
            Err(_) => {
                self.learn(n);
                return false;
            }
        }
        self.naive[r].forget_all(|keeper| keeper == Keeper::Checkpoint(dead));
        true
    }

    /// Node `n` renews its lease, or finds that it has none.
    pub(super) fn renew(&mut self, n: usize) {
        if !self.store.nodes.living.contains(&self.nodes[n].incarnation.0) {
            self.begin_again(n);
        }
    }

    /// Whoever was taken for dead and is not goes on as somebody new.
    pub(super) fn begin_again(&mut self, n: usize) {
        let incarnation = Incarnation(self.number());
        self.trace(|| format!("node {n} goes on as {}", incarnation.0));
        self.store.nodes.living.insert(incarnation.0);
        // What it said as the old one in a room that was loaded since, nobody else would find.
        let before = std::mem::replace(&mut self.nodes[n].incarnation, incarnation).0;
        for r in std::mem::take(&mut self.nodes[n].listed).into_keys() {
            while !self.bury(n, r, before) {}
        }
        self.store.nodes.strike(before);
        self.with_every_room(n, |room, out| room.reassert(out));
    }

    /// Node `n` sees which Redis there is.
    pub(super) fn learn(&mut self, n: usize) {
        if self.nodes[n].known < self.store.generation {
            self.nodes[n].known = self.store.generation;
            self.with_every_room(n, Room::resync);
        }
    }

    pub(super) fn cut(&mut self, n: usize) {
        self.trace(|| format!("node {n} has no way to Redis"));
        self.nodes[n].is_cut = true;
        self.nodes[n].feed.clear();
    }

    /// What was published meanwhile is lost.
    pub(super) fn mend(&mut self, n: usize) {
        if std::mem::take(&mut self.nodes[n].is_cut) {
            self.trace(|| format!("node {n} has a way to Redis again"));
            self.learn(n);
            self.with_every_room(n, Room::resync);
        }
    }

    /// What only Redis knew of a room.
    pub(super) fn redis_forgets(&mut self, r: usize) {
        self.naive[r].forget_all(|keeper| matches!(keeper, Keeper::Redis | Keeper::Checkpoint(_)));
    }

    /// Redis is emptied.
    pub(super) fn flush(&mut self) {
        self.trace(|| "Redis is emptied".into());
        self.store.flush();
        (0..ROOMS).for_each(|r| self.redis_forgets(r));
    }

    /// A replica of Redis has what there is by now.
    pub(super) fn replicate(&mut self) {
        self.store.replicate();
        self.naive.iter_mut().for_each(Naive::is_replicated);
    }

    /// Another Redis takes over, which lacks the last writes. Nobody hears of changes until they have found it.
    pub(super) fn fail_over(&mut self) {
        self.trace(|| "Redis is another one, and lacks the last writes".into());
        self.store.fail_over();
        self.naive.iter_mut().for_each(Naive::fails_over);
        // Positions go back with it, until the rooms are loaded again.
        self.before.clear();
        for node in &mut self.nodes {
            node.feed.clear();
            for open in node.rooms.values_mut() {
                open.follows = false;
            }
        }
    }

    /// Node `n` is about to say what its readers have taken of a room.
    pub(super) fn checkpoint(&mut self, n: usize, r: usize) {
        let number = self.number();
        let drafted = Keeper::Drafted(number);
        let careless = self.breaking == Some(Break::Checkpoint);
        let Some(open) = self.nodes[n].rooms.get(&r) else { return };
        let taken = |id| open.tabs.get(&id).and_then(Tab::reached).filter(|_| !careless);
        // Where nobody reads that is said, too.
        let checkpoint = open.room.checkpoint(taken).unwrap_or_default();
        for (user, held) in &open.sessions {
            self.naive[r].tell(*user, *held, drafted, Some(checkpoint.of(*user)));
        }
        let readers = open.sessions.keys().copied().collect();
        self.nodes[n].calls.push_back(Call::Checkpoint { room: r, checkpoint, number, readers, drafted });
    }

    /// Node `n` has the same written down for the case that Redis is lost with it.
    pub(super) fn note_readers(&mut self, n: usize, r: usize) {
        let Some(open) = self.nodes[n].rooms.get(&r) else { return };
        let taken = |id| open.tabs.get(&id).and_then(Tab::reached);
        let Some(checkpoint) = open.room.checkpoint(taken) else { return };
        let sessions: Vec<_> = open.sessions.iter().map(|(user, held)| (*user, *held)).collect();
        for (user, held) in sessions {
            self.journal(n, r, user, checkpoint.of(user), held);
        }
    }
}
