//! What a node's readers have taken, said in few words.

use shared::{Seq, UserId};

use super::{Room, SubscriberId};
use crate::reading::state::Checkpoint;

/// Readers who lag behind and are named: the others are bounded by the one who lags least of those that are not.
const NAMED: usize = 16;

impl Room {
    /// What everybody who reads here has taken; `None` if nobody does. `taken` knows it of each subscription: `None` for all
    /// that was framed.
    pub fn checkpoint(&self, mut taken: impl FnMut(SubscriberId) -> Option<Seq>) -> Option<Checkpoint> {
        if self.readers.is_empty() {
            return None;
        }
        let mut behind: Vec<(UserId, Seq)> = self
            .subscribers
            .values()
            .filter(|subscriber| subscriber.reads)
            .filter_map(|subscriber| Some((subscriber.user, taken(subscriber.id)?)))
            .filter(|(_, seq)| *seq < self.head)
            .collect();
        behind.sort_unstable();
        let furthest = |tabs: &[(UserId, Seq)]| {
            let (user, seq) = *tabs.last()?;
            let reader = self.readers.get(&user)?;
            // Where fewer of them are behind than there are, another has everything.
            let all_behind = u32::try_from(tabs.len()) == Ok(reader.subscriptions);
            Some((user, seq.max(reader.taken))).filter(|(_, seq)| all_behind && *seq < self.head)
        };
        let mut own: Vec<_> = behind.chunk_by(|one, next| one.0 == next.0).filter_map(furthest).collect();
        let mut all = self.head;
        if own.len() > NAMED {
            own.sort_unstable_by_key(|(_, seq)| *seq);
            all = own[NAMED].1;
            own.truncate(NAMED);
        }
        Some(Checkpoint { all, own })
    }

    /// Everybody who reads here: of whom that speaks.
    pub fn readers(&self) -> impl Iterator<Item = UserId> {
        self.readers.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use shared::testing::{seq, user};

    use super::*;
    use crate::{
        reading::Snapshot,
        record::{Draft, Record},
        room::Subscriber,
    };

    fn index(id: SubscriberId) -> usize {
        id.0.try_into().unwrap()
    }

    /// A room at 100 with a subscription for each of these: who, and whether it is reading.
    fn room(subscribers: &[(i64, bool)]) -> Room {
        let (id, now, mut out) = (1.try_into().unwrap(), Instant::now(), Vec::new());
        let mut room = Room::new(id, Seq::ZERO);
        for (n, (who, reads)) in (0..).zip(subscribers) {
            let subscriber = Subscriber { id: SubscriberId(n), user: user(*who), reads: *reads };
            room.subscribe(subscriber, false, now, &mut out);
        }
        room.snapshot(Snapshot::default(), now, &mut out);
        let draft = Draft::message(id, user(999), None, None, "x");
        room.record(&Arc::new(Record { seq: seq(100), draft }), now, &mut out);
        room
    }

    #[test]
    fn all_have_taken_everything_but_for_those_who_lag() {
        let room = room(&[(1, true), (2, true), (3, true), (4, false)]);
        let taken = [None, Some(seq(40)), Some(seq(100)), Some(seq(7))];
        let checkpoint = room.checkpoint(|id| taken[index(id)]);
        assert_eq!(checkpoint, Some(Checkpoint { all: seq(100), own: vec![(user(2), seq(40))] }));
    }

    #[test]
    fn where_nobody_reads_there_is_nothing_to_say() {
        assert_eq!(room(&[(4, false)]).checkpoint(|_| None), None);
    }

    #[test]
    fn of_several_tabs_the_furthest_counts() {
        let mut room = room(&[(1, true), (1, true), (2, true), (2, true), (3, true), (3, true)]);
        let taken = [Some(seq(30)), None, Some(seq(50)), Some(seq(60)), Some(seq(10)), Some(seq(20))];
        let own = |room: &Room| room.checkpoint(|id| taken[index(id)]).unwrap().own;
        assert_eq!(own(&room), [(user(2), seq(60)), (user(3), seq(20))]);
        // Also of those that are closed by now.
        room.unsubscribe(SubscriberId(5), Some(seq(90)), &mut Vec::new());
        assert_eq!(own(&room), [(user(2), seq(60)), (user(3), seq(90))]);
    }

    #[test]
    fn of_many_who_lag_the_furthest_behind_are_named() {
        let room = room(&(1..=40).map(|who| (who, true)).collect::<Vec<_>>());
        let checkpoint = room.checkpoint(|id| Some(seq(90 - id.0.cast_signed()))).unwrap();
        let named: Vec<_> = (51..67).zip((25..=40).rev()).map(|(at, who)| (user(who), seq(at))).collect();
        assert_eq!(checkpoint, Checkpoint { all: seq(67), own: named });
    }
}
