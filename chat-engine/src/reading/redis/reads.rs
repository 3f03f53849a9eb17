//! How far people have read who say so themselves. While Redis is away they go on, and of all they say only the last counts:
//! it waits once for each of them and room.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use shared::{RoomId, Seq, UserId};

/// How many may wait without room for them being made anew.
const KEPT: usize = 1024;

/// What is on its way and not said yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads(Arc<Mutex<HashMap<(RoomId, UserId), Seq>>>);

impl Reads {
    /// `user` has read up to `seq`. Whether a call is to be made of it: false where one waits already, and says this too.
    pub(super) fn note(&self, room: RoomId, user: UserId, seq: Seq) -> bool {
        let mut reads = self.0.lock();
        let waits = reads.get_mut(&(room, user));
        let is_new = waits.is_none();
        match waits {
            Some(waiting) => *waiting = seq.max(*waiting),
            None => drop(reads.insert((room, user), seq)),
        }
        is_new
    }

    /// How far that is by now, and what comes from here on is to be said again.
    pub(super) fn take(&self, room: RoomId, user: UserId) -> Option<Seq> {
        let mut reads = self.0.lock();
        let seq = reads.remove(&(room, user));
        if reads.is_empty() && reads.capacity() > KEPT {
            // As much as waited in a long outage is not kept for ever.
            reads.shrink_to_fit();
        }
        seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_somebody_reads_while_redis_is_away_one_call_waits() {
        let reads = Reads::default();
        let (room, other) = (1.try_into().unwrap(), 2.try_into().unwrap());
        let (anna, bo) = (7.try_into().unwrap(), 8.try_into().unwrap());
        let mut calls = 0;
        for offset in (0..10_000).rev().chain(0..5_000) {
            for (room, user) in [(room, anna), (room, bo), (other, anna)] {
                calls += usize::from(reads.note(room, user, Seq::new(1, offset)));
            }
        }
        assert_eq!((calls, reads.0.lock().len()), (3, 3));
        assert_eq!(reads.take(room, anna), Some(Seq::new(1, 9_999)));
        // Said: what comes now is another call.
        assert!(reads.note(room, anna, Seq::new(1, 10_000)));
        assert_eq!(reads.take(room, anna), Some(Seq::new(1, 10_000)));
        assert_eq!(reads.take(room, anna), None);
    }
}
