//! What time asks for: heart-beats, and an eye on those who take too long.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use super::{
    super::connection::{Ended, Kind, Stage},
    Worker,
};
use crate::fault::FaultKind;

impl Worker {
    pub(super) fn beat(&mut self, now: Instant) {
        while let Some(&Reverse((due, slot, index))) = self.beats.peek() {
            if due > now {
                return;
            }
            self.beats.pop();
            // The slot may be another's by now.
            let connection = self.connections[slot].as_ref().filter(|connection| connection.index == index);
            let Some(interval) = connection.and_then(|connection| connection.beats.send) else { continue };
            self.beats.push(Reverse((due + sooner(interval), slot, index)));
            self.with(slot, |connection, _| connection.beat());
        }
    }

    /// Who takes too long to connect, and whose server has fallen silent.
    pub(super) fn look_after(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + Duration::from_secs(1);
        let timeout = self.desk.plan.scenario.connect_timeout;
        for slot in 0..self.connections.len() {
            let Some(connection) = &self.connections[slot] else { continue };
            if connection.stage != Stage::Ready && now.duration_since(connection.begun) > timeout {
                self.on_ended(slot, Ended::new(FaultKind::NotConnected, "took too long"));
                continue;
            }
            let allowed = connection.beats.expect.map(|interval| 2 * interval + Duration::from_secs(1));
            let silence = now.duration_since(connection.heard);
            if connection.kind == Kind::Member && allowed.is_some_and(|allowed| silence > allowed) {
                self.on_ended(slot, Ended::new(FaultKind::Silent, format!("nothing for {silence:?}")));
            }
        }
    }
}

/// A little earlier than promised, so that a busy machine does not break the promise.
pub(super) fn sooner(interval: Duration) -> Duration {
    interval.mul_f64(0.8)
}
