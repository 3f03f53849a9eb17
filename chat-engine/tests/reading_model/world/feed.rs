//! What Redis publishes, on its way to the nodes: late, lost, repeated, out of order.

use chat_engine::{reading::Positions, room::Output};

use super::{Fetch, News, World, store::Refusal};
use crate::{breaks::Break, naive::Keeper};

impl World {
    pub(super) fn publish(&mut self, r: usize, news: impl IntoIterator<Item = News>) {
        for news in news {
            self.trace(|| format!("  published of room {r}: {news:?}"));
            if let News::Changed(change) = news {
                self.check_change(r, change.user, change.to);
            }
            for node in &mut self.nodes {
                if !node.is_cut && node.rooms.get(&r).is_some_and(|open| open.follows) {
                    node.feed.push_back((r, news));
                }
            }
        }
    }

    /// A change arrives at node `n`; perhaps not the first, perhaps twice, perhaps never.
    pub(super) fn hear_next(&mut self, n: usize) {
        let waiting = self.nodes[n].feed.len();
        if waiting == 0 {
            return;
        }
        let at = if self.dice.below(8) == 0 { self.dice.below(waiting.min(4)) } else { 0 };
        let (r, news) = self.nodes[n].feed[at];
        match self.dice.below(200) {
            0 => drop(self.nodes[n].feed.remove(at)),
            1..10 => self.hear(n, r, news),
            _ => {
                self.nodes[n].feed.remove(at);
                self.hear(n, r, news);
            }
        }
    }

    pub(super) fn hear(&mut self, n: usize, r: usize, news: News) {
        self.trace(|| format!("node {n} hears of room {r}: {news:?}"));
        let careless = self.breaking == Some(Break::Version);
        self.with_room(n, r, |room, now, out| match news {
            News::Begun(life) => room.latest(life, 1, out),
            News::Changed(mut change) => {
                if let Some((life, version)) = room.version().filter(|_| careless) {
                    // Whatever it is, it passes for the next one.
                    (change.life, change.version) = (life, version + 1);
                }
                room.change(change, now, out);
            }
        });
    }

    /// Redis answers what a room lacks of its positions. From here on the node hears of its changes.
    pub(super) fn fetch(&mut self, n: usize, r: usize) {
        let known = self.nodes[n].known;
        let Some(open) = self.nodes[n].rooms.get_mut(&r) else { return };
        let Fetch::Asked(since) = open.fetch else { return };
        open.follows = true;
        self.load(r, known);
        match self.store.positions(r, known, since) {
            Ok(positions) => {
                self.trace(|| format!("node {n} is sent room {r}: {positions:?}"));
                let open = self.nodes[n].rooms.get_mut(&r).expect("it was open");
                open.fetch = Fetch::Answered(positions);
            }
            Err(Refusal::Stale) => self.learn(n),
            Err(refusal) => panic!("{refusal:?} of a room that was loaded"),
        }
    }

    /// The answer arrives.
    pub(super) fn answer(&mut self, n: usize, r: usize) {
        let Some(open) = self.nodes[n].rooms.get_mut(&r) else { return };
        let Fetch::Answered(_) = open.fetch else { return };
        let Fetch::Answered(positions) = std::mem::replace(&mut open.fetch, Fetch::None) else { return };
        self.trace(|| format!("node {n} has what it lacks of room {r}"));
        let silent = self.breaking == Some(Break::Reassert);
        self.with_room(n, r, |room, now, out| match positions {
            Positions::Since(changes) => room.repair(changes, now, out),
            Positions::Whole(snapshot) => {
                let before = room.version().map(|(life, _)| life);
                let new_life = before.is_some_and(|life| life != snapshot.life);
                room.snapshot(snapshot, now, out);
                if new_life && silent {
                    out.retain(|output| !matches!(output, Output::Enter(_)));
                }
            }
        });
    }

    /// Redis has the room from here on, if it had not.
    pub(super) fn load(&mut self, r: usize, known: u64) {
        if let Some(life) = self.store.load(r, known) {
            self.trace(|| format!("room {r} is loaded: {life:?}"));
            self.before.retain(|(room, _), _| *room != r);
            self.checkpoints.retain(|(room, _), _| *room != r);
            // What it knew is lost; what PostgreSQL knows is what it knows now.
            self.redis_forgets(r);
            self.naive[r].tell_all(Keeper::Postgres, Keeper::Redis);
            self.publish(r, [News::Begun(life)]);
        }
    }
}
