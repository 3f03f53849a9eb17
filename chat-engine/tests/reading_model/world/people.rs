//! Who is a member: joining, leaving, being banned, coming back, withdrawing.

use shared::UserId;

use super::{CANDIDATES, NODES, PEOPLE, ROOMS, World};
use crate::{
    tab::{Mode, Tab, Wants},
    user,
};

impl World {
    /// Somebody joins a room, or leaves it; most who leave come back.
    pub(super) fn change_membership(&mut self) {
        let r = self.dice.below(ROOMS);
        let who = user(1 + self.dice.below(usize::try_from(CANDIDATES[r]).unwrap()) as i64);
        if self.members[r].contains(&who) {
            self.leave(r, who);
            if self.dice.below(2) == 0 {
                // And reads on before anybody was told of either.
                self.join(r, who);
                let n = self.dice.below(NODES);
                if !self.nodes[n].is_frozen {
                    let mode = [Mode::Auto, Mode::Client][self.dice.below(2)];
                    self.arrive(n, r, Tab::new(who, mode, Wants::History(3)));
                }
            }
        } else {
            self.join(r, who);
        }
    }

    fn join(&mut self, r: usize, who: UserId) {
        self.trace(|| format!("{who} joins room {r}"));
        self.members[r].insert(who);
        self.history.events.push_back((r, who, true));
    }

    /// Of their own will, or banned.
    fn leave(&mut self, r: usize, who: UserId) {
        self.trace(|| format!("{who} leaves room {r}"));
        self.members[r].remove(&who);
        self.history.events.push_back((r, who, false));
        for node in &mut self.nodes {
            node.leavers.push_back((r, who));
        }
    }

    /// Somebody withdraws their account: out of every room, every connection closed.
    pub(super) fn withdraw(&mut self) {
        let who = user(1 + self.dice.below(usize::try_from(PEOPLE).unwrap()) as i64);
        for r in 0..ROOMS {
            if self.members[r].contains(&who) {
                self.leave(r, who);
            }
        }
    }

    /// Node `n` hears that somebody has left a room.
    pub(super) fn expel_next(&mut self, n: usize) {
        let Some((r, who)) = self.nodes[n].leavers.pop_front() else { return };
        // They may have joined again since.
        if self.members[r].contains(&who) {
            return;
        }
        let Some(open) = self.nodes[n].rooms.get(&r) else { return };
        let mut tabs = open.room.subscribers_of(who);
        tabs.sort_unstable();
        for id in tabs {
            self.close(n, r, id, false);
        }
    }
}
