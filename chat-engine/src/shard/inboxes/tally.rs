//! The last messages of a room, as far as they count as unread for somebody.

use std::collections::VecDeque;

use shared::{Seq, UserId};

/// Messages that are known at most: more unread ones than these are "999+".
pub(in crate::shard) const KEPT: usize = 1_000;

/// Messages in order, complete above a place. Deleted ones are not among them: there is nothing left to read.
#[derive(Debug)]
pub(super) struct Tally {
    messages: VecDeque<(Seq, UserId)>,
    /// Everything after this place is here.
    floor: Seq,
    /// What is below the floor is too far back to matter.
    is_capped: bool,
}

/// How many messages somebody has not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) count: u32,
    /// There are more than these.
    pub(super) more: bool,
}

impl Tally {
    /// Of a room in which nothing is known after `floor`.
    pub(super) fn new(floor: Seq) -> Self {
        Self { messages: VecDeque::new(), floor, is_capped: false }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The next message.
    pub(super) fn push(&mut self, seq: Seq, sender: UserId) {
        self.messages.push_back((seq, sender));
        self.trim();
    }

    /// A message is deleted. It may be known, or not.
    pub(super) fn remove(&mut self, seq: Seq) {
        if let Ok(at) = self.messages.binary_search_by_key(&seq, |(seq, _)| *seq) {
            self.messages.remove(at);
        }
    }

    /// What came before those that are here: all there are after `floor`, in order.
    pub(super) fn extend(&mut self, older: Vec<(Seq, UserId)>, floor: Seq) {
        if floor >= self.floor {
            return;
        }
        // Whoever asked may have let go of its floor meanwhile.
        if self.is_capped {
            return;
        }
        for message in older.into_iter().rev() {
            self.messages.push_front(message);
        }
        self.floor = floor;
        self.trim();
    }

    /// Nobody stands below that place, or anywhere: what is not above it counts for nobody. No further than there are
    /// messages: what comes next may still be below where somebody stands by what another node knows.
    pub(super) fn let_go(&mut self, lowest: Option<Seq>) {
        while let Some((seq, _)) = self.messages.front()
            && lowest.is_none_or(|lowest| *seq <= lowest)
        {
            (self.floor, self.is_capped) = (*seq, false);
            self.messages.pop_front();
        }
        if self.messages.len() < self.messages.capacity() / 4 {
            self.messages.shrink_to(2 * self.messages.len());
        }
    }

    /// How many messages are missing for somebody who stands there: from where on they are to be read.
    pub(super) fn lacks(&self, position: Seq) -> bool {
        position < self.floor && !self.is_capped
    }

    pub(super) fn floor(&self) -> Seq {
        self.floor
    }

    /// What `user`, who stands at `position`, has not read: what others sent behind that, and behind what they sent
    /// themselves, for who answers has read what came before. Also where they stand by that.
    pub(super) fn unread(&self, user: UserId, position: Seq) -> (Unread, Seq) {
        let mut count = 0;
        for (seq, sender) in self.messages.iter().rev() {
            if *seq <= position {
                return (Unread { count, more: false }, position);
            }
            if *sender == user {
                return (Unread { count, more: false }, *seq);
            }
            count += 1;
        }
        (Unread { count, more: position < self.floor }, position)
    }

    fn trim(&mut self) {
        while self.messages.len() > KEPT
            && let Some((seq, _)) = self.messages.pop_front()
        {
            self.floor = seq;
            self.is_capped = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::{seq, user};

    use super::*;

    /// Every message there ever was.
    #[derive(Default)]
    struct Naive(Vec<(i64, UserId, bool)>);

    impl Naive {
        fn unread(&self, user: UserId, position: i64) -> u32 {
            let own = self.0.iter().filter(|(_, sender, deleted)| *sender == user && !deleted);
            let position = own.map(|(seq, ..)| *seq).max().unwrap_or(0).max(position);
            let unread = self.0.iter().filter(|(seq, _, deleted)| *seq > position && !deleted);
            u32::try_from(unread.count()).unwrap()
        }
    }

    #[test]
    fn it_counts_what_a_naive_list_counts() {
        for seed in 0..200 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let (mut naive, mut head) = (Naive::default(), 0);
            let before = dice.i64(0..1_500);
            for _ in 0..before {
                head += dice.i64(1..4);
                naive.0.push((head, user(dice.i64(1..=4)), dice.u8(0..10) == 0));
            }
            // A node that begins somewhere, and reads back as far as somebody stands.
            let floor = dice.i64(0..=head);
            let mut tally = Tally::new(seq(floor));
            let after = |place: i64| move |(seq, _, deleted): &&(i64, UserId, bool)| *seq > place && !deleted;
            for (at, sender, _) in naive.0.iter().filter(after(floor)) {
                tally.push(seq(*at), *sender);
            }
            for _ in 0..100 {
                match dice.u8(0..10) {
                    0..5 => {
                        head += dice.i64(1..4);
                        let sender = user(dice.i64(1..=4));
                        naive.0.push((head, sender, false));
                        tally.push(seq(head), sender);
                    }
                    5 if !naive.0.is_empty() => {
                        let at = dice.usize(0..naive.0.len());
                        naive.0[at].2 = true;
                        tally.remove(seq(naive.0[at].0));
                    }
                    6 => tally.let_go(dice.bool().then(|| seq(dice.i64(0..=head)))),
                    _ => {}
                }
                let (who, position) = (user(dice.i64(1..=5)), dice.i64(0..=head));
                if tally.lacks(seq(position)) {
                    let floor = tally.floor().get();
                    let below = naive.0.iter().filter(after(position)).filter(|(seq, ..)| *seq <= floor);
                    let older: Vec<_> = below.map(|(at, sender, _)| (seq(*at), *sender)).collect();
                    let skipped = older.len().saturating_sub(KEPT + 1);
                    tally.extend(older[skipped..].to_vec(), seq(position));
                }
                let (unread, _) = tally.unread(who, seq(position));
                let truth = naive.unread(who, position);
                assert!(!tally.lacks(seq(position)), "seed {seed}");
                if unread.more {
                    // As far as it reaches; deletions may have made it less than it keeps.
                    assert!(unread.count <= truth && unread.count >= 900, "seed {seed}: {unread:?}, {truth}");
                } else {
                    assert_eq!(unread.count, truth, "seed {seed}");
                }
                assert!(tally.messages.len() <= KEPT);
            }
        }
    }

    #[test]
    fn what_nobody_has_to_read_takes_no_memory() {
        let mut tally = Tally::new(Seq::ZERO);
        (1..=2_000).for_each(|raw| tally.push(seq(raw), user(2)));
        assert!(!tally.lacks(seq(10)), "that is too far back");
        tally.let_go(Some(seq(1_990)));
        assert_eq!((tally.messages.len(), tally.floor()), (10, seq(1_990)));
        assert!(tally.messages.capacity() < 50, "{}", tally.messages.capacity());
        assert!(tally.lacks(seq(1_989)) && !tally.lacks(seq(1_990)));
        // Somebody stands where this node has not got to.
        tally.let_go(Some(seq(2_010)));
        assert_eq!((tally.messages.capacity(), tally.floor()), (0, seq(2_000)));
        tally.push(seq(2_001), user(2));
        assert_eq!(tally.unread(user(1), seq(2_000)).0.count, 1);
        tally.let_go(None);
        assert!(tally.is_empty() && tally.lacks(seq(2_000)) && !tally.lacks(seq(2_001)));
    }

    #[test]
    fn a_thousand_are_counted_and_of_more_it_is_said() {
        let mut tally = Tally::new(Seq::ZERO);
        (1..=1_000).for_each(|raw| tally.push(seq(raw), user(2)));
        assert_eq!(tally.unread(user(1), Seq::ZERO).0, Unread { count: 1_000, more: false });
        tally.push(seq(1_001), user(2));
        assert_eq!(tally.unread(user(1), Seq::ZERO).0, Unread { count: 1_000, more: true });
        assert_eq!(tally.unread(user(1), seq(1)).0, Unread { count: 1_000, more: false });
        // Nothing further back is read any more.
        assert!(!tally.lacks(Seq::ZERO));
    }
}
