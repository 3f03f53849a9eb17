//! A thread of clients.

mod sending;
mod upkeep;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io::{self, ErrorKind},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, Waker};

use super::{
    Control, Done, Phase, TICK,
    connecting::{Queue, connect},
    connection::{Connection, Ended, Kind, Stage},
    desk::Desk,
    share_of, until,
};
use crate::{
    fault::{FaultKind, Faults},
    plan::Plan,
};

const WAKE: Token = Token(usize::MAX);

/// What a worker has to say in the end.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) faults: Faults,
    pub(crate) delays: Histogram<u64>,
    /// Checked deliveries.
    pub(crate) checked: u64,
    /// Members that became subscribed.
    pub(crate) connected: u32,
    /// What became of the slow ones, and how many of each.
    pub(crate) slow: BTreeMap<String, u64>,
    /// Cycles of coming and going that were completed.
    pub(crate) churned: u32,
}

/// See [`run`](Self::run).
#[derive(Debug)]
pub(crate) struct Worker {
    index: u32,
    poll: Poll,
    control: Arc<Control>,
    done: Sender<Done>,
    desk: Desk,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    queue: Queue,
    phase: Phase,
    /// The phase whose end has been told.
    told: Option<Phase>,
    beats: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    /// When the next message is due, if the rate is fixed.
    next_message: Option<Instant>,
    next_seat: usize,
    finish_by: Option<Instant>,
    next_look: Instant,
    connected: u32,
    slow: BTreeMap<String, u64>,
    churned: u32,
}

impl Worker {
    /// One that has its share of the plan's connections to make.
    pub(crate) fn new(
        plan: &Arc<Plan>,
        index: u32,
        control: Arc<Control>,
        done: Sender<Done>,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let scenario = &plan.scenario;
        let workers = scenario.threads;
        let is_mine = |connection: &u32| connection % scenario.rooms % workers == index;
        let all = scenario.connections + scenario.slow;
        let kind = |index| (index, if index < scenario.connections { Kind::Member } else { Kind::Slow });
        let queue = Queue::new(
            (0..all).filter(is_mine).map(kind),
            share_of(scenario.concurrent, index, workers),
            f64::from(scenario.connect_rate) / f64::from(workers),
            now,
        );
        Ok(Self {
            index,
            poll: Poll::new()?,
            control,
            done,
            desk: Desk::new(plan.clone(), index),
            connections: Vec::new(),
            free: Vec::new(),
            queue,
            phase: Phase::Connect,
            told: None,
            beats: BinaryHeap::new(),
            next_message: None,
            next_seat: 0,
            finish_by: None,
            next_look: now,
            connected: 0,
            slow: BTreeMap::new(),
            churned: 0,
        })
    }

    /// To be woken with when the phase has changed.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKE)
    }

    /// Goes through the phases as they are set, until the last.
    pub(crate) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(512);
        let mut buffer = vec![0; 65_536];
        loop {
            match self.poll.poll(&mut events, Some(self.timeout(Instant::now()))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.desk.measuring = self.control.is_measuring();
            for event in &events {
                let Token(slot) = event.token();
                if event.token() == WAKE || self.connections.get(slot).is_none_or(Option::is_none) {
                    continue;
                }
                if event.is_writable() {
                    self.with(slot, Connection::on_writable);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.read(slot, &mut buffer);
                }
                self.send_due();
            }
            let now = Instant::now();
            self.follow_phase(now, &mut buffer);
            self.connect_next(now);
            self.beat(now);
            self.look_after(now);
            self.send_by_rate(now);
            self.send_due();
            self.publish();
            if self.finish_by.is_some_and(|by| by <= now || self.slow_are_gone()) {
                return Ok(self.finish());
            }
        }
    }

    fn timeout(&self, now: Instant) -> Duration {
        let mut timeout = TICK;
        if self.queue.waits_for_time() {
            timeout = Duration::from_millis(1);
        }
        if let Some(next) = self.next_message {
            timeout = timeout.min(until(next, now));
        }
        timeout
    }

    /// Lets a connection do something, and sees what came of it.
    fn with(&mut self, slot: usize, act: impl FnOnce(&mut Connection, &mut Desk) -> Result<(), Ended>) {
        let Some(connection) = self.connections[slot].as_mut() else { return };
        let before = connection.stage;
        let outcome = act(connection, &mut self.desk);
        let after = connection.stage;
        if before < Stage::Ready && after >= Stage::Ready {
            self.on_ready(slot);
        }
        if let Err(ended) = outcome {
            self.on_ended(slot, ended);
        }
    }

    fn read(&mut self, slot: usize, buffer: &mut [u8]) {
        let unread = self.connections[slot]
            .as_ref()
            .is_some_and(|connection| connection.kind == Kind::Slow && connection.stage == Stage::Ready);
        if unread && self.finish_by.is_none() {
            return;
        }
        self.with(slot, |connection, desk| connection.on_readable(desk, buffer));
    }

    fn on_ready(&mut self, slot: usize) {
        let Some(connection) = self.connections[slot].as_mut() else { return };
        self.queue.in_progress -= u32::from(connection.kind != Kind::Churn);
        if let Some(interval) = connection.beats.send {
            let due = connection.heard + upkeep::sooner(interval);
            self.beats.push(Reverse((due, slot, connection.index)));
        }
        match connection.kind {
            Kind::Member => {
                self.connected += 1;
                let seat = self.desk.seat_of(connection.index);
                self.desk.seats[seat].members.push(slot);
            }
            Kind::Slow => {}
            Kind::Churn => self.with(slot, Connection::leave),
        }
    }

    fn on_ended(&mut self, slot: usize, ended: Ended) {
        let Some(mut connection) = self.connections[slot].take() else { return };
        let _ = self.poll.registry().deregister(connection.socket_mut());
        self.free.push(slot);
        let index = connection.index;
        let Ended { fault, why } = ended;
        match (connection.kind, connection.stage) {
            (Kind::Churn, Stage::Leaving) if fault == FaultKind::Closed => {
                self.queue.in_progress -= 1;
                self.churned += 1;
            }
            (Kind::Slow, Stage::Ready) => *self.slow.entry(why).or_default() += 1,
            (kind, stage) if stage < Stage::Ready || kind == Kind::Churn => {
                self.queue.in_progress -= 1;
                let fault = if fault == FaultKind::Error { fault } else { FaultKind::NotConnected };
                self.desk.faults.add(fault, || format!("connection {index}, {stage:?}: {why}"));
            }
            _ => {
                self.desk.on_member_gone(slot, index, &connection.follower);
                self.desk.faults.add(fault, || format!("connection {index}: {why}"));
            }
        }
    }

    fn connect_next(&mut self, now: Instant) {
        while let Some((index, kind)) = self.queue.next(now) {
            let socket = connect(&self.desk.plan, index, kind);
            let slot = self.free.pop().unwrap_or(self.connections.len());
            if slot == self.connections.len() {
                self.connections.push(None);
            }
            let registered = socket.and_then(|mut socket| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut socket, Token(slot), interest)?;
                Ok(socket)
            });
            match registered {
                Ok(socket) => {
                    let follower = self.desk.seats[self.desk.seat_of(index)].room.follower();
                    self.connections[slot] = Some(Connection::new(socket, index, kind, follower, now));
                }
                Err(error) => {
                    self.queue.in_progress -= 1;
                    self.free.push(slot);
                    self.desk.faults.add(FaultKind::NotConnected, || format!("connection {index}: {error}"));
                }
            }
        }
        if self.queue.is_done() && matches!(self.phase, Phase::Connect | Phase::Churn) {
            self.tell(self.phase);
        }
    }

    fn tell(&mut self, phase: Phase) {
        if self.told != Some(phase) {
            self.told = Some(phase);
            // The main thread may have given up waiting.
            let _ = self.done.send(Done(phase));
        }
    }

    fn follow_phase(&mut self, now: Instant, buffer: &mut [u8]) {
        let phase = self.control.phase();
        if self.phase == Phase::Drain && self.desk.is_drained() {
            self.tell(Phase::Drain);
        }
        if phase == self.phase {
            return;
        }
        self.phase = phase;
        let scenario = &self.desk.plan.scenario;
        match phase {
            Phase::Connect => {}
            Phase::Churn => {
                let workers = scenario.threads;
                // Numbers of its own rooms, so that the seats are here.
                let mine: Vec<u32> = self.desk.seats.iter().map(|seat| seat.index).collect();
                let count = share_of(scenario.churn, self.index, workers) as usize;
                let jobs = mine.iter().copied().cycle().take(count).map(|index| (index, Kind::Churn));
                let concurrent = share_of(scenario.concurrent, self.index, workers);
                self.queue = Queue::new(jobs, concurrent, 0.0, now);
            }
            Phase::Load if scenario.rate.is_some() => self.next_message = Some(now),
            Phase::Load => {
                let in_flight = scenario.in_flight as usize;
                for seat in 0..self.desk.seats.len() {
                    self.desk.due.extend(std::iter::repeat_n(seat, in_flight));
                }
            }
            Phase::Drain => self.next_message = None,
            Phase::Finish => {
                self.finish_by = Some(now + Duration::from_secs(2));
                for slot in 0..self.connections.len() {
                    self.read(slot, buffer);
                }
            }
        }
    }

    fn publish(&self) {
        let worker = self.index as usize;
        self.control.publish(worker, self.desk.deliveries, self.desk.messages);
    }

    fn slow_are_gone(&self) -> bool {
        self.connections.iter().flatten().all(|connection| connection.kind != Kind::Slow)
    }

    fn finish(mut self) -> Tally {
        for connection in self.connections.iter_mut().flatten() {
            match (connection.kind, connection.stage) {
                (Kind::Member, Stage::Ready) => {
                    self.desk.note_lost(connection.index, &connection.follower);
                    connection.close();
                }
                (Kind::Slow, Stage::Ready) => *self.slow.entry("still open".to_owned()).or_default() += 1,
                (_, stage) => {
                    let index = connection.index;
                    self.desk
                        .faults
                        .add(FaultKind::NotConnected, || format!("connection {index}: still {stage:?}"));
                }
            }
        }
        Tally {
            faults: self.desk.faults,
            delays: self.desk.delays,
            checked: self.desk.deliveries,
            connected: self.connected,
            slow: self.slow,
            churned: self.churned,
        }
    }
}
