//! How a room finds out that changes of positions have not come here, and gets them.

use std::time::Instant;

use super::{Output, Room};
use crate::reading::{Change, Life};

impl Room {
    /// Every change since the version that the room had when it asked. Nobody is told to begin anew: changes of counts are
    /// ranges of what they show, however late they come.
    pub fn repair(&mut self, changes: Vec<Change>, now: Instant, out: &mut Vec<Output>) {
        self.fetching = false;
        self.go_on(changes, now, out);
    }

    /// Works off changes, and then those that came while the authority was asked.
    pub(super) fn go_on(&mut self, changes: Vec<Change>, now: Instant, out: &mut Vec<Output>) {
        let waiting = std::mem::take(&mut self.waiting_changes);
        for change in changes.into_iter().chain(waiting) {
            self.change(change, now, out);
            if self.fetching {
                // The rest was made before that answer is, and is in it.
                break;
            }
        }
        let missed = self.latest.take().is_some_and(|(life, version)| self.lacks(life, version));
        if (std::mem::take(&mut self.again) || missed) && !self.fetching {
            self.fetch(out);
        }
    }

    /// What the authority has by now, or had a moment ago: a life of the room that has just begun, or, for a room that is
    /// silent, the version of its last change.
    pub fn latest(&mut self, life: Life, version: u64, out: &mut Vec<Output>) {
        if self.fetching {
            // The answer on its way may be older.
            self.latest = Some((life, version));
        } else if self.lacks(life, version) {
            self.fetch(out);
        }
    }

    fn lacks(&self, life: Life, version: u64) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.life != life || replica.version < version)
    }

    pub(super) fn fetch(&mut self, out: &mut Vec<Output>) {
        self.fetching = true;
        out.push(Output::FetchSnapshot);
    }

    /// Changes may have been missed, and if none follows no gap would show it.
    pub fn resync(&mut self, out: &mut Vec<Output>) {
        if self.fetching {
            // The one on its way may have been fetched before.
            self.again = true;
        } else if self.replica.is_some() {
            self.fetch(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        RoomId, Seq,
        testing::{seq, user},
    };

    use super::*;
    use crate::{
        reading::Snapshot,
        record::{Draft, Record},
        room::{ReadRange, Subscriber, SubscriberId},
    };

    const LIFE: Life = Life(1);

    fn moved(version: u64, id: i64, to: i64) -> Change {
        Change { life: LIFE, version, user: user(id), to: Some(seq(to)) }
    }

    /// A room with one subscriber and the messages 1 to 9, in which users 2 and 3 have read nothing at version 5.
    fn room(now: Instant) -> Room {
        let mut room = Room::new(RoomId::try_from(1).unwrap(), Seq::ZERO);
        let mut out = Vec::new();
        let subscriber = Subscriber { id: SubscriberId(1), user: user(1), reads: true };
        room.subscribe(subscriber, false, now, &mut out);
        let positions = vec![(user(2), Seq::ZERO), (user(3), Seq::ZERO)];
        room.snapshot(Snapshot { life: LIFE, version: 5, positions }, now, &mut out);
        for n in 1..=9 {
            let draft = Draft::message(room.id(), user(1), None, None, "x");
            room.record(&std::sync::Arc::new(Record { seq: seq(n), draft }), now, &mut out);
        }
        room
    }

    fn told(room: &mut Room, now: Instant) -> Vec<Output> {
        let mut out = Vec::new();
        room.flush_due(now + crate::room::MERGE_WINDOW, &mut out);
        out
    }

    #[test]
    fn of_one_frame_what_adds_comes_first_for_nobody_is_to_show_less_than_none_in_between() {
        let (now, mut out) = (Instant::now(), Vec::new());
        let mut room = room(now);
        let reads = |version, id| Change { life: LIFE, version, user: user(id), to: None };
        room.change(reads(6, 2), now, &mut out);
        room.change(reads(7, 3), now, &mut out);
        // Their node dies, and what they had taken is told behind that.
        let nobody_left = told(&mut room, now);
        room.change(moved(8, 2, 0), now, &mut out);
        room.change(moved(9, 2, 4), now, &mut out);
        let range = |from, to, by| ReadRange { from: seq(from), to: seq(to), by };
        assert_eq!(nobody_left, [Output::Read(vec![range(0, 9, -2)])]);
        assert_eq!(told(&mut room, now), [Output::Read(vec![range(0, 9, 1), range(0, 4, -1)])]);
    }

    #[test]
    fn what_was_missed_is_told_as_ranges_and_not_as_a_reset() {
        let (now, mut out) = (Instant::now(), Vec::new());
        let mut room = room(now);
        room.change(moved(8, 3, 7), now, &mut out);
        assert_eq!(std::mem::take(&mut out), [Output::FetchSnapshot]);
        assert_eq!(room.version(), Some((LIFE, 5)), "since when it asks");
        // Meanwhile another comes, which the answer has, too.
        room.change(moved(9, 2, 6), now, &mut out);
        let missed = vec![moved(6, 2, 4), moved(7, 3, 5), moved(8, 3, 7), moved(9, 2, 6)];
        room.repair(missed, now, &mut out);
        assert_eq!(out, [], "nobody is asked again, and nobody begins anew");
        assert_eq!(room.version(), Some((LIFE, 9)));
        let range = |from, to| ReadRange { from: seq(from), to: seq(to), by: -1 };
        let ranges = vec![range(0, 4), range(0, 5), range(4, 6), range(5, 7)];
        assert_eq!(told(&mut room, now), [Output::Read(ranges)]);
    }

    #[test]
    fn a_silent_room_asks_only_for_what_it_lacks() {
        let (now, mut out) = (Instant::now(), Vec::new());
        let mut room = room(now);
        room.latest(LIFE, 5, &mut out);
        room.latest(LIFE, 4, &mut out);
        assert_eq!(out, []);
        room.latest(LIFE, 6, &mut out);
        assert_eq!(std::mem::take(&mut out), [Output::FetchSnapshot]);
        // What is said while it asks is held against the answer.
        room.latest(LIFE, 7, &mut out);
        assert_eq!(out, []);
        room.repair(vec![moved(6, 2, 4)], now, &mut out);
        assert_eq!(std::mem::take(&mut out), [Output::FetchSnapshot]);
        room.latest(LIFE, 7, &mut out);
        room.repair(vec![moved(7, 2, 5)], now, &mut out);
        assert_eq!(out, []);
        room.latest(Life(2), 1, &mut out);
        assert_eq!(out, [Output::FetchSnapshot], "another life");
    }
}
