//! When to look at which room.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use shared::RoomId;

/// One time for each room, the earliest at which something there is due. Whatever is due later is set again when the
/// room is looked at, so that a thousand who wait there cost one entry.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Instant, RoomId)>,
    due: HashMap<RoomId, Instant>,
}

impl Timers {
    /// The room is to be looked at then, or earlier.
    pub(super) fn set(&mut self, room: RoomId, at: Instant) {
        if let Some(due) = self.due.get(&room).copied() {
            if due <= at {
                return;
            }
            self.order.remove(&(due, room));
        }
        self.due.insert(room, at);
        self.order.insert((at, room));
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// A room whose time has come. It has none any more.
    pub(super) fn pop(&mut self, now: Instant) -> Option<RoomId> {
        let (at, room) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.due.remove(&room);
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_room_has_one_time_however_many_wait_there() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let (one, other) = (1.try_into().unwrap(), 2.try_into().unwrap());
        let after = |seconds| now + Duration::from_secs(seconds);
        (10..1_000).rev().for_each(|seconds| timers.set(one, after(seconds)));
        (10..1_000).for_each(|seconds| timers.set(one, after(seconds)));
        timers.set(other, after(20));
        assert_eq!((timers.order.len(), timers.due.len(), timers.next()), (2, 2, Some(after(10))));
        assert_eq!(timers.pop(after(9)), None);
        assert_eq!((timers.pop(after(30)), timers.pop(after(30))), (Some(one), Some(other)));
        assert_eq!((timers.pop(after(5_000)), timers.next(), timers.due.len()), (None, None, 0));
        // It can be set again.
        timers.set(one, after(40));
        assert_eq!(timers.pop(after(40)), Some(one));
    }
}
