//! What members have read without reading now: what they acknowledged.
//!
//! It is collected as long as changes of counts are: who answers a thousand messages one by one after a resume is one call
//! of the authority, not a thousand. The room's own replica moves by the authority's change, not by this.

use std::{collections::BTreeMap, time::Instant};

use shared::{Seq, UserId};

use super::{MERGE_WINDOW, Output, Room, SubscriberId};

/// Who has acknowledged what since the authority was told last.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    read: BTreeMap<UserId, Seq>,
    since: Option<Instant>,
}

impl Acknowledged {
    /// When the authority is to be told.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + MERGE_WINDOW)
    }

    /// Has the authority told of everybody.
    pub(super) fn tell(&mut self, out: &mut Vec<Output>) {
        self.since = None;
        let read = std::mem::take(&mut self.read);
        out.extend(read.into_iter().map(|(user, seq)| Output::ReadUpTo { user, seq }));
    }

    /// Has it told of one who may not be here later.
    pub(super) fn tell_of(&mut self, user: UserId, out: &mut Vec<Output>) {
        out.extend(self.read.remove(&user).map(|seq| Output::ReadUpTo { user, seq }));
        if self.read.is_empty() {
            self.since = None;
        }
    }
}

impl Room {
    /// A subscriber has acknowledged everything up to `seq`. Nobody has read what is still to come.
    pub fn acknowledge(&mut self, id: SubscriberId, seq: Seq, now: Instant) {
        // Who was taken out meanwhile has no position.
        let Some(subscriber) = self.subscribers.get(&id) else { return };
        let read = self.acknowledged.read.entry(subscriber.user).or_default();
        *read = seq.min(self.head).max(*read);
        self.acknowledged.since.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared::testing::{seq, user};

    use super::*;
    use crate::{
        reading::{Change, Life, Snapshot},
        record::{Draft, Record},
        room::{ReadRange, Subscriber},
    };

    const FIRST: SubscriberId = SubscriberId(1);
    const SECOND: SubscriberId = SubscriberId(2);

    fn positions() -> Snapshot {
        Snapshot { life: Life(1), version: 1, positions: vec![(user(1), seq(9)), (user(2), seq(3))] }
    }

    /// Anna's tab and Bo's, which do not imply reading, where messages up to 9 have been.
    fn room(now: Instant) -> Room {
        let (mut room, mut out) = (Room::new(1.try_into().unwrap(), seq(9)), Vec::new());
        for (id, who) in [(FIRST, 1), (SECOND, 2)] {
            let subscriber = Subscriber { id, user: user(who), reads: false };
            room.subscribe(subscriber, false, now, &mut out);
        }
        room.snapshot(positions(), now, &mut out);
        assert!(!out.iter().any(|output| matches!(output, Output::Enter(_))), "{out:?}");
        room
    }

    fn told(room: &mut Room, now: Instant) -> Vec<Output> {
        let mut out = Vec::new();
        room.flush_due(now, &mut out);
        out
    }

    fn read_up_to(who: i64, to: i64) -> Output {
        Output::ReadUpTo { user: user(who), seq: seq(to) }
    }

    #[test]
    fn the_authority_is_told_once_for_all_that_came_together() {
        let now = Instant::now();
        let mut room = room(now);
        for acknowledged in [4, 6, 5] {
            room.acknowledge(SECOND, seq(acknowledged), now);
        }
        room.acknowledge(FIRST, seq(9), now);
        let due = room.deadline().expect("something is to be told");
        assert_eq!(told(&mut room, now + MERGE_WINDOW / 2), []);
        assert_eq!(told(&mut room, due), [read_up_to(1, 9), read_up_to(2, 6)]);
        assert_eq!((room.deadline(), told(&mut room, due)), (None, Vec::new()));
        room.acknowledge(SECOND, seq(7), due);
        assert_eq!(told(&mut room, due + MERGE_WINDOW), [read_up_to(2, 7)]);
    }

    #[test]
    fn nobody_has_read_what_is_still_to_come() {
        let now = Instant::now();
        let mut room = room(now);
        room.acknowledge(SECOND, seq(1_000), now);
        assert_eq!(told(&mut room, now + MERGE_WINDOW), [read_up_to(2, 9)]);
    }

    #[test]
    fn counts_follow_the_authority_and_not_the_acknowledgement() {
        let now = Instant::now();
        let (mut room, mut out) = (room(now), Vec::new());
        room.acknowledge(SECOND, seq(9), now);
        let later = now + MERGE_WINDOW;
        assert_eq!(told(&mut room, later), [read_up_to(2, 9)]);
        let change = Change { life: Life(1), version: 2, user: user(2), to: Some(seq(9)) };
        room.change(change, later, &mut out);
        let read = Output::Read(vec![ReadRange { from: seq(3), to: seq(9), by: -1 }]);
        assert_eq!(told(&mut room, later + MERGE_WINDOW), [read]);
    }

    #[test]
    fn who_goes_leaves_nothing_untold() {
        let now = Instant::now();
        let (mut room, mut out) = (room(now), Vec::new());
        room.acknowledge(SECOND, seq(5), now);
        room.unsubscribe(SECOND, None, &mut out);
        assert_eq!(out, [read_up_to(2, 5)]);
        assert_eq!(room.deadline(), None);
        // What comes behind is nobody's.
        room.acknowledge(SECOND, seq(9), now);
        assert_eq!(room.deadline(), None);
    }

    #[test]
    fn waiting_for_counts_does_not_hold_acknowledgements_up() {
        let now = Instant::now();
        let (mut room, mut out) = (Room::new(1.try_into().unwrap(), seq(9)), Vec::new());
        room.subscribe(Subscriber { id: FIRST, user: user(1), reads: false }, false, now, &mut out);
        let late = room.deadline().expect("it does not wait for ever");
        room.flush_due(late, &mut out);
        let draft = Draft::message(room.id(), user(2), None, None, "x");
        room.record(&Arc::new(Record { seq: seq(10), draft }), late, &mut out);
        room.acknowledge(FIRST, seq(10), late);
        assert_eq!(told(&mut room, late + MERGE_WINDOW), [read_up_to(1, 10)]);
    }
}
