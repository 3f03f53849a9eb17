//! What happens next, and what has to be so, on the way and at rest.

use std::collections::BTreeSet;

use shared::Seq;

use super::World;
use crate::{MEMBERS, tab::Wants, user};

impl World {
    pub(crate) fn step(&mut self) {
        let n = self.dice.below(3);
        match self.dice.below(100) {
            0..9 => self.subscribe(n),
            9..14 => self.resume(n),
            14..18 => self.let_in(n),
            18..32 => self.unsubscribe(n),
            32..46 => self.send(),
            46..48 => self.die(n),
            48 => self.freeze(n),
            49 => self.checkpoint(n),
            50 if self.dice.below(3) == 0 => self.lose_authority(),
            50..52 => {
                let (member, at) = (self.dice.member(), self.dice.below(self.log.len() + 1));
                let seq = self.log.get(at).map_or(Seq::ZERO, |record| record.seq);
                self.note(member, seq);
                let change = self.authority.advance(member, seq);
                self.publish(change);
            }
            52..58 => self.tell_next(),
            58..72 => self.work_next(n),
            72..84 => self.change_next(n),
            84..92 => self.answer_snapshot(n),
            92..96 => self.ask_history(n),
            _ => self.flush(n),
        }
        self.check_on_the_way();
    }

    fn check_on_the_way(&mut self) {
        for tab in self.nodes.iter().flat_map(|node| node.tabs.values()) {
            let out_of_range = tab.shown.values().any(|count| !(0..=MEMBERS).contains(count));
            assert!(!out_of_range, "a count out of range: {:?}", tab.shown);
        }
        for (member, position) in self.authority.snapshot().positions {
            let floor = self.floors.entry(member).or_default();
            assert!(position >= *floor, "{member:?} went back from {floor} to {position}");
            *floor = position;
        }
    }

    /// Lets everything arrive. A lost change shows at the next one's version, or when the version is checked.
    pub(crate) fn settle(&mut self) {
        // Whoever is let in enters, which is one more change for the nodes before.
        while self.nodes.iter().any(|node| node.fetching) {
            (0..3).for_each(|n| self.answer_snapshot(n));
        }
        for n in 0..3 {
            while self.nodes[n].worked < self.log.len() {
                self.work_next(n);
            }
            self.let_in(n);
        }
        while self.told < self.log.len() {
            self.tell_next();
        }
        for n in 0..3 {
            while self.nodes[n].worked < self.log.len() {
                self.work_next(n);
            }
        }
        self.arrive_everywhere();
    }

    /// Changes bring about others: somebody who was forgotten is asserted again.
    fn arrive_everywhere(&mut self) {
        loop {
            for n in 0..3 {
                // Every second each node asks whether it has its lease.
                self.checkpoint(n);
                while let Some(news) = self.nodes[n].on_the_way.pop_front() {
                    let mut out = Vec::new();
                    self.hear(n, news, &mut out);
                    self.carry_out(n, out);
                }
                self.answer_snapshot(n);
                // A silent room whose version is behind has missed its last change.
                let snapshot = self.authority.snapshot();
                if self.nodes[n]
                    .room
                    .version()
                    .is_some_and(|version| version != (snapshot.life, snapshot.version))
                {
                    let mut out = Vec::new();
                    self.nodes[n].room.resync(&mut out);
                    self.carry_out(n, out);
                }
                self.flush(n);
            }
            let is_quiet = |node: &super::Node| node.on_the_way.is_empty() && !node.fetching;
            if self.nodes.iter().all(is_quiet) {
                return;
            }
        }
    }

    pub(crate) fn check_at_rest(&self) {
        let positions = self.authority.snapshot().positions;
        let tabs = self.nodes.iter().flat_map(|node| node.tabs.values());
        let readers: BTreeSet<_> = tabs.map(|tab| tab.member).collect();
        let standing: BTreeSet<_> = positions.iter().map(|(member, _)| *member).collect();
        let away: BTreeSet<_> = (1..=MEMBERS).map(user).filter(|member| !readers.contains(member)).collect();
        assert_eq!(standing, away, "who has a position, and who is not reading");
        for (n, node) in self.nodes.iter().enumerate() {
            for tab in node.tabs.values() {
                assert!(tab.live, "somebody is not let in");
                let resumed = matches!(tab.wants, Wants::After(_));
                assert!(!resumed || tab.recovered, "a resume that is not told to be one");
                let first = tab.shown.keys().next();
                let since = first.map(|first| self.log.iter().filter(|record| record.seq >= *first).count());
                assert!(!resumed || since.is_none_or(|since| since == tab.shown.len()), "a gap");
                for (seq, shown) in &tab.shown {
                    let unread = positions.iter().filter(|(_, position)| position < seq).count() as i64;
                    assert_eq!(*shown, unread, "node {n}, {:?}, seq {seq}", tab.member);
                }
            }
        }
    }
}
