//! What happens next.

use chat_engine::room::Room;

use super::{Fetch, NODES, Open, ROOMS, World, calls::Way};

impl World {
    /// A few hundred steps, quiet now and then.
    pub(crate) fn run(&mut self) {
        for _ in 0..=self.dice.below(3) {
            for _ in 0..40 + self.dice.below(260) {
                self.step();
            }
            self.settle();
            self.check_at_rest();
        }
    }

    fn step(&mut self) {
        self.later();
        match self.dice.below(1000) {
            0..60 => self.send(),
            60..70 => self.change_message(),
            70..80 => self.change_membership(),
            80..82 => self.withdraw(),
            82..100 => self.relay(),
            100..130 => self.store_next(),
            130..160 => self.tell_next(),
            160..195 => self.unsubscribe(),
            195..210 => self.acknowledge(),
            210..220 => self.ask_history(),
            220..320 => {
                if let Some(place) = self.some_tab(true, |tab| !tab.frames.is_empty()) {
                    let count = 1 + self.dice.below(6);
                    self.deliver(place, count);
                }
            }
            320..322 => self.flush(),
            322..324 => self.fail_over(),
            324..334 => self.replicate(),
            334..350 => self.expire_some(),
            dice => {
                let n = self.dice.below(NODES);
                self.step_of_node(n, dice);
            }
        }
    }

    fn step_of_node(&mut self, n: usize, dice: usize) {
        if self.nodes[n].is_frozen {
            if dice < 400 {
                self.trace(|| format!("node {n} goes on"));
                self.nodes[n].is_frozen = false;
            }
            return;
        }
        let waits =
            |open: &Open| !matches!(open.fetch, Fetch::None) || open.tabs.values().any(|tab| !tab.live);
        let waiting = self.nodes[n].rooms.iter().filter(|(_, open)| waits(open)).map(|(r, _)| *r);
        let waiting: Vec<_> = waiting.collect();
        let r =
            if waiting.is_empty() { self.dice.below(ROOMS) } else { waiting[self.dice.below(waiting.len())] };
        match dice {
            350..354 => self.kill(n),
            354..358 => self.freeze(n),
            358..362 => self.cut(n),
            362..378 => self.mend(n),
            378..382 => self.nodes[n].is_behind = true,
            382..398 => self.nodes[n].is_behind = false,
            398..448 => self.subscribe(n),
            448..470 => self.resume(n),
            470..500 => self.let_in(n, r),
            500..510 => self.expel_next(n),
            510..620 if !self.nodes[n].is_behind => self.work_next(n),
            620..640 => self.with_room(n, r, Room::flush_due),
            640..680 => self.answer(n, r),
            680..704 => {
                let r = self.dice.below(ROOMS);
                self.checkpoint(n, r);
            }
            704..710 => {
                let r = self.dice.below(ROOMS);
                self.note_readers(n, r);
            }
            710..720 => self.write_journal(n),
            720.. if !self.nodes[n].is_cut => self.step_with_redis(n, r, dice),
            _ => {}
        }
    }

    fn step_with_redis(&mut self, n: usize, r: usize, dice: usize) {
        match dice {
            720..800 => self.hear_next(n),
            800..840 => self.fetch(n, r),
            840..850 => self.renew(n),
            850..880 => self.bury_next(n),
            880..885 => self.learn(n),
            _ => {
                let count = 1 + self.dice.below(4);
                let way = match self.dice.below(8) {
                    0 => Way::Broken(self.dice.below(5)),
                    _ => Way::Good,
                };
                self.make_calls(n, count, way);
            }
        }
    }
}
