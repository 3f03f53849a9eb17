//! What a worker's connections share: the rooms, and the tally of what came.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    check::{Follower, Room},
    fault::{FaultKind, Faults},
    mark::{Found, Mark},
    options::{Pace, Senders},
    plan::{Plan, Scratch},
};

/// A room, and whose turn it is.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) room: Room,
    /// Its number among all.
    pub(super) index: u32,
    /// Slots of its members that are subscribed.
    pub(super) members: Vec<usize>,
    turn: usize,
}

impl Seat {
    /// Who sends the next message.
    pub(super) fn next_sender(&mut self, senders: Senders) -> Option<usize> {
        if senders == Senders::Turns {
            self.turn += 1;
        }
        let count = self.members.len();
        (count > 0).then(|| self.members[self.turn % count])
    }
}

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) plan: Arc<Plan>,
    pub(super) seats: Vec<Seat>,
    pub(super) scratch: Scratch,
    pub(super) faults: Faults,
    /// Microseconds from sending to delivery.
    pub(super) delays: Histogram<u64>,
    pub(super) measuring: bool,
    pub(super) deliveries: u64,
    pub(super) messages: u64,
    /// Seats in which the next message may be sent.
    pub(super) due: Vec<usize>,
    workers: u32,
}

impl Desk {
    pub(super) fn new(plan: Arc<Plan>, worker: u32) -> Self {
        let scenario = &plan.scenario;
        let workers = scenario.threads;
        let seat = |index| Seat { room: Room::new(index), index, members: Vec::new(), turn: 0 };
        let seats = (worker..scenario.rooms).step_by(workers as usize).map(seat).collect();
        Self {
            seats,
            scratch: Scratch::default(),
            faults: Faults::default(),
            delays: Histogram::new(3).expect("three digits are possible"),
            measuring: false,
            deliveries: 0,
            messages: 0,
            due: Vec::new(),
            workers,
            plan,
        }
    }

    /// Where the room of a connection is.
    pub(super) fn seat_of(&self, connection: u32) -> usize {
        (connection % self.plan.scenario.rooms / self.workers) as usize
    }

    /// A message is about to be sent by this connection, due then: its frame is in the scratch memory.
    pub(super) fn write_message(&mut self, seat: usize, sender: u32, due: Instant) {
        let Seat { room, index, members, .. } = &mut self.seats[seat];
        let subscribers = u32::try_from(members.len()).expect("connections are counted in 32 bits");
        let number = room.send(sender, subscribers);
        let since_start = due.duration_since(self.plan.started);
        let mark = Mark { room: *index, sender, number, sent: since_start };
        self.plan.send(mark, &mut self.scratch);
        self.messages += 1;
    }

    pub(super) fn on_message(&mut self, connection: u32, follower: &mut Follower, body: &[u8], now: Instant) {
        let mark = match self.plan.marker.find(body) {
            Found::Intact(mark) => mark,
            Found::Foreign => return,
            Found::Altered => {
                let excerpt = || String::from_utf8_lossy(body).chars().take(200).collect::<String>();
                self.faults
                    .add(FaultKind::Altered, || format!("connection {connection} got {:?}", excerpt()));
                return;
            }
        };
        let seat = self.seat_of(connection);
        let delivery = self.seats[seat].room.deliver(follower, &mark);
        if let Some(fault) = delivery.fault {
            let Mark { room, sender, number, .. } = mark;
            let room = self.plan.room_name(room.min(self.plan.scenario.rooms - 1));
            self.faults.add(fault, || {
                format!("connection {connection} got message {number} of connection {sender} in room {room}")
            });
            if fault != FaultKind::Reordered {
                return;
            }
        }
        self.deliveries += 1;
        if self.measuring {
            let delay = now.duration_since(self.plan.started).saturating_sub(mark.sent);
            // The histogram grows to whatever is to be recorded.
            let _ = self.delays.record(micros(delay));
        }
        let may_send = match self.plan.scenario.pace {
            Pace::All => delivery.completed,
            Pace::Sender => mark.sender == connection,
        };
        if may_send {
            self.due.push(seat);
        }
    }

    /// A member is gone; its room goes on without it.
    pub(super) fn on_member_gone(&mut self, slot: usize, connection: u32, follower: &Follower) {
        let seat = self.seat_of(connection);
        self.seats[seat].members.retain(|&member| member != slot);
        let completed = self.seats[seat].room.leave(follower);
        self.due.extend(std::iter::repeat_n(seat, completed));
    }

    /// What this subscriber did not get is lost.
    pub(super) fn note_lost(&mut self, connection: u32, follower: &Follower) {
        let seat = &self.seats[self.seat_of(connection)];
        let room = self.plan.room_name(seat.index);
        for number in seat.room.missing(follower) {
            self.faults.add(FaultKind::Lost, || {
                format!("connection {connection} did not get message {number} in room {room}")
            });
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.seats.iter().all(|seat| seat.members.is_empty() || seat.room.in_flight() == 0)
    }
}

fn micros(delay: Duration) -> u64 {
    u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)
}
