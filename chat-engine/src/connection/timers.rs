//! Deadlines of very many connections without a timer each: a wheel of slots, and one task that turns it.
//!
//! A connection stands in one slot, once. When its slot comes up its task is woken and looks at its own deadlines; it
//! then takes the next place. Reading and writing do not move it: a beat that became needless is found out when its
//! slot comes up.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{ConnectionId, Outbox};

/// How coarse deadlines are.
const TICK: Duration = Duration::from_millis(50);
/// Slots of the wheel: a later deadline is looked at once a turn.
const SLOTS: u64 = 1024;

/// The wheel.
pub(crate) struct Timers {
    began: Instant,
    /// The next tick to come up.
    tick: AtomicU64,
    slots: Box<[Slot]>,
}

/// The connections to be woken at one tick.
type Slot = Mutex<HashMap<ConnectionId, Arc<Outbox>>>;

/// A connection's place in the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Timers {
    /// A wheel that turns until the last holder of it is gone.
    pub(crate) fn start() -> Arc<Self> {
        let slots = (0..SLOTS).map(|_| Mutex::default()).collect();
        let timers = Arc::new(Self { began: Instant::now(), tick: AtomicU64::new(0), slots });
        tokio::spawn(turn(Arc::downgrade(&timers)));
        timers
    }

    /// Wakes the connection at `deadline`, or up to a tick later. It gives up the place that it had.
    pub(super) fn set(
        &self,
        id: ConnectionId,
        outbox: &Arc<Outbox>,
        deadline: Instant,
        old: Option<Place>,
    ) -> Place {
        let place = self.place(deadline);
        if old != Some(place) {
            if let Some(old) = old {
                self.remove(id, old);
            }
            self.slot(place).lock().insert(id, outbox.clone());
            if self.tick.load(Ordering::Relaxed) > place.0 {
                // It came up meanwhile, without this connection in it.
                outbox.wake();
            }
        }
        place
    }

    fn place(&self, deadline: Instant) -> Place {
        let after = deadline.saturating_duration_since(self.began).as_millis() / TICK.as_millis();
        let next = self.tick.load(Ordering::Relaxed);
        let wanted = u64::try_from(after).unwrap_or(u64::MAX).saturating_add(1);
        // The next tick may come up this moment: the one behind it cannot.
        Place(wanted.clamp(next + 1, next + SLOTS - 1))
    }

    /// The connection is over.
    pub(super) fn remove(&self, id: ConnectionId, place: Place) {
        let mut slot = self.slot(place).lock();
        slot.remove(&id);
        if slot.is_empty() {
            *slot = HashMap::new();
        }
    }

    fn slot(&self, Place(tick): Place) -> &Slot {
        // Fewer than `SLOTS`.
        let index = usize::try_from(tick % SLOTS).unwrap_or(0);
        &self.slots[index]
    }

    /// Wakes everybody whose slots have come up by `now`.
    fn turn_to(&self, now: Instant) {
        let current = now.saturating_duration_since(self.began).as_millis() / TICK.as_millis();
        let current = u64::try_from(current).unwrap_or(u64::MAX);
        let first = self.tick.load(Ordering::Relaxed);
        // After a pause longer than a turn every slot has come up once.
        for tick in first.max(current.saturating_sub(SLOTS - 1))..=current {
            self.tick.store(tick + 1, Ordering::Relaxed);
            let due = std::mem::take(&mut *self.slot(Place(tick)).lock());
            for outbox in due.into_values() {
                outbox.wake();
            }
        }
    }
}

async fn turn(timers: Weak<Timers>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        match timers.upgrade() {
            Some(timers) => timers.turn_to(Instant::now()),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel() -> Timers {
        let slots = (0..SLOTS).map(|_| Mutex::default()).collect();
        Timers { began: Instant::now(), tick: AtomicU64::new(0), slots }
    }

    #[test]
    fn a_slot_never_comes_up_before_its_deadline_and_at_most_two_ticks_after_it() {
        let timers = wheel();
        for milliseconds in [0, 1, 49, 50, 51, 999, 10_000, 51_000] {
            let deadline = timers.began + Duration::from_millis(milliseconds);
            let Place(tick) = timers.place(deadline);
            let fires = timers.began + TICK * u32::try_from(tick).unwrap();
            assert!(fires >= deadline && fires <= deadline + TICK * 2, "{milliseconds} ms");
        }
    }

    #[test]
    fn a_deadline_beyond_the_wheel_is_looked_at_within_a_turn() {
        let timers = wheel();
        assert_eq!(timers.place(timers.began + Duration::from_hours(1)), Place(SLOTS - 1));
    }
}
