//! When messages are sent.

use std::time::{Duration, Instant};

use super::{Phase, Worker};

impl Worker {
    /// Every room whose turn it is sends, unless the time for that is over.
    pub(super) fn send_due(&mut self) {
        while let Some(seat) = self.desk.due.pop() {
            if self.phase == Phase::Load && self.desk.plan.scenario.rate.is_none() {
                self.send(seat, Instant::now());
            }
        }
    }

    fn send(&mut self, seat: usize, due: Instant) {
        let senders = self.desk.plan.scenario.senders;
        let Some(slot) = self.desk.seats[seat].next_sender(senders) else { return };
        self.with(slot, |connection, desk| {
            desk.write_message(seat, connection.index, due);
            connection.send(&desk.scratch.frame)
        });
    }

    pub(super) fn send_by_rate(&mut self, now: Instant) {
        let (Some(rate), Some(mut next)) = (self.desk.plan.scenario.rate, self.next_message) else { return };
        let seats = self.desk.seats.len();
        let share = seats as f64 / f64::from(self.desk.plan.scenario.rooms);
        let interval = Duration::from_secs_f64(1.0 / (rate * share).max(0.001));
        while next <= now {
            self.next_seat = (self.next_seat + 1) % seats;
            self.send(self.next_seat, next);
            next += interval;
        }
        self.next_message = Some(next);
    }
}
