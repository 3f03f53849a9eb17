//! What has to be so: at every moment, and when everything is quiet.

use std::collections::{BTreeMap, BTreeSet};

use chat_engine::room::{Room, SubscriberId};
use shared::{Seq, UserId};

use super::{Fetch, NODES, ROOMS, World, calls::Way};
use crate::{breaks::Break, tab::Wants};

/// More than anything takes to come to rest.
const ROUNDS: usize = 100;
const ALL: usize = usize::MAX;

impl World {
    /// A change that the authority has made.
    pub(super) fn check_change(&mut self, r: usize, user: UserId, to: Option<Seq>) {
        let Some(to) = to else { return };
        if let Some(seq) = self.naive[r].unread_by(user, to) {
            panic!("room {r}: {seq} counts as read by {user}, whom it never reached");
        }
        let before = self.before.insert((r, user), to);
        assert!(before <= Some(to), "room {r}: {user} went back from {before:?} to {to}");
    }

    /// What a tab shows by now.
    pub(super) fn check_shown(&self, n: usize, r: usize, id: SubscriberId) {
        let tab = &self.nodes[n].rooms[&r].tabs[&id];
        if tab.is_stale {
            return;
        }
        for (seq, count) in &tab.shown {
            let Some(count) = *count else { continue };
            let most = self.naive[r].most(*seq);
            assert!(
                (0..=most).contains(&count),
                "node {n}, room {r}, tab {}: {seq} shows {count} of at most {most}",
                id.0
            );
        }
    }

    /// Lets everything arrive: faults are over, and every way is open.
    pub(crate) fn settle(&mut self) {
        self.trace(|| "-- everything arrives".into());
        for n in 0..NODES {
            self.nodes[n].is_frozen = false;
            self.nodes[n].is_behind = false;
            self.mend(n);
            self.learn(n);
        }
        for dead in self.store.nodes.living.clone() {
            if self.nodes.iter().all(|node| node.incarnation.0 != dead) {
                self.expire(dead);
            }
        }
        while !self.history.events.is_empty() {
            self.relay();
        }
        while self.history.stored < self.history.log.len() {
            self.store_next();
        }
        for _ in 0..ROUNDS {
            while self.history.told < self.history.log.len() {
                self.tell_next();
            }
            let mut is_quiet = true;
            for n in 0..NODES {
                is_quiet &= self.settle_node(n);
            }
            if is_quiet {
                (0..NODES).for_each(|n| self.forget_said(n));
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Whether there was nothing to do.
    fn settle_node(&mut self, n: usize) -> bool {
        let mut is_quiet = true;
        while self.nodes[n].worked < self.history.log.len() {
            is_quiet = false;
            self.work_next(n);
        }
        while !self.nodes[n].leavers.is_empty() {
            self.expel_next(n);
        }
        // Every second it renews its lease, and looks who does not.
        self.renew(n);
        while !self.store.nodes.dying.is_empty() {
            is_quiet = false;
            self.bury_next(n);
        }
        for _ in 0..ROUNDS {
            self.make_calls(n, ALL, Way::Good);
            if self.nodes[n].calls.is_empty() {
                break;
            }
            is_quiet = false;
        }
        self.write_journal(n);
        while let Some((r, news)) = self.nodes[n].feed.pop_front() {
            is_quiet = false;
            self.hear(n, r, news);
        }
        for r in 0..ROOMS {
            is_quiet &= self.settle_room(n, r);
        }
        is_quiet
    }

    fn settle_room(&mut self, n: usize, r: usize) -> bool {
        let mut is_quiet = true;
        if !self.nodes[n].rooms.contains_key(&r) {
            return true;
        }
        // Each room is asked about now and then, for a silent one may have missed its last change.
        let known = self.nodes[n].known;
        self.load(r, known);
        if let Some((life, version)) = self.store.version(r).filter(|_| self.breaking != Some(Break::Version))
        {
            self.with_room(n, r, |room, _, out| room.latest(life, version, out));
        }
        is_quiet &= self.nodes[n].rooms.get(&r).is_some_and(|open| matches!(open.fetch, Fetch::None));
        self.fetch(n, r);
        self.answer(n, r);
        self.let_in(n, r);
        self.now += std::time::Duration::from_secs(2);
        self.with_room(n, r, Room::flush_due);
        let tabs: Vec<_> =
            self.nodes[n].rooms.get(&r).map(|open| open.tabs.keys().copied().collect()).unwrap_or_default();
        for id in tabs {
            is_quiet &= self.nodes[n].rooms[&r].tabs[&id].frames.is_empty();
            self.deliver((n, r, id), ALL);
        }
        is_quiet && self.nodes[n].calls.is_empty()
    }

    /// What every client shows, what the server computes and what the naive model says is the same.
    pub(crate) fn check_at_rest(&mut self) {
        for r in 0..ROOMS {
            self.load(r, self.store.generation);
            let snapshot = self.store.snapshot(r, self.store.generation).expect("it is loaded");
            let positions: BTreeMap<_, _> = snapshot.positions.iter().copied().collect();
            let readers: BTreeSet<_> = self.readers(r).collect();
            let standing: BTreeSet<_> = positions.keys().copied().collect();
            let away: BTreeSet<_> = self.naive[r].members().difference(&readers).copied().collect();
            assert_eq!(standing, away, "room {r}: who has a position, and who is not reading");

            let naive = self.naive[r].unread();
            for (seq, unread) in &naive {
                let server = positions.iter().filter(|(_, at)| *at < seq).map(|(user, _)| *user);
                assert_eq!(server.collect::<BTreeSet<_>>(), *unread, "room {r}: who has not read {seq}");
            }
            for (n, node) in self.nodes.iter().enumerate() {
                let Some(open) = node.rooms.get(&r) else { continue };
                for (id, tab) in &open.tabs {
                    let at = format!("node {n}, room {r}, tab {} of {}", id.0, tab.member);
                    assert!(tab.live, "{at} is not let in");
                    assert_eq!(tab.recovered.is_some(), matches!(tab.wants, Wants::After(_)), "{at}");
                    let Some(first) = tab.shown.keys().next() else { continue };
                    let expected: BTreeMap<_, _> =
                        naive.range(first..).map(|(seq, unread)| (*seq, Some(unread.len() as i64))).collect();
                    assert_eq!(tab.shown, expected, "{at}: what it shows, and the naive counts");
                }
            }
            self.naive[r].is_quiet();
        }
    }

    /// How much of the schedule has come about, to see that it has.
    pub(crate) fn tally(&self) -> u64 {
        self.history.log.iter().filter(|logged| Self::is_message(&logged.record)).count() as u64
    }
}
