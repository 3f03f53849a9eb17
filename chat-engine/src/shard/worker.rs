//! A shard's task: feeds its rooms and carries out what they ask for.

mod arrivals;
mod carry_out;
mod checkpoints;
mod inboxes;
mod leaving;
mod pages;
mod timers;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Instant,
};

use arrivals::Arriving;
use checkpoints::{Checkpoints, Moments, Moved};
use shared::{RoomId, Seq};
use timers::Timers;
use tokio::sync::mpsc;

use super::{
    Arrived, Input, RoomOutlet, Target, Tuning, Unavailable, Wanted,
    inboxes::{Inbox, Inboxes},
    outlet::Destinations,
    reader::{Reader, Rows},
    tail::{Hold, Tail},
};
use crate::{
    connection::Batch,
    history::Found,
    log::{epoch::Epoch, partition_of},
    reading::{Positions, Reading},
    room::{Output, Room, Subscriber, SubscriberId},
    timing::Timing,
};

/// Records and inputs that are worked through before their frames are written, at most.
const BATCH: usize = 64;

/// What a shard asked for outside has come.
pub struct Fetched {
    room: RoomId,
    content: FetchedContent,
}

enum FetchedContent {
    /// With what ends when the room that asked is closed.
    Positions(Weak<()>, Positions),
    /// Rows below the memory, for those who arrive.
    Older(Hold, Result<Rows, Unavailable>),
    /// How far the log reaches, for those who have seen more of it than this node.
    End(Result<Option<Seq>, Unavailable>),
    Page(pages::Asked, Hold, Result<(Option<Rows>, Option<Rows>), Unavailable>),
    Found(pages::Lookup, Hold, Result<Option<Found>, Unavailable>),
}

/// What a shard works with.
pub(super) struct Deps {
    pub(super) reader: Reader,
    pub(super) epoch: Epoch,
    pub(super) reading: Reading,
    pub(super) answers: mpsc::UnboundedSender<Input>,
    pub(super) timing: Arc<Timing>,
    pub(super) tuning: Tuning,
}

/// A room and where its subscribers' frames go.
struct Open {
    room: Room,
    destinations: Destinations,
    /// Those that the room has added.
    outlets: HashMap<SubscriberId, RoomOutlet>,
    arriving: HashMap<SubscriberId, Arriving>,
    /// The first place that somebody who arrives has seen elsewhere and this node has not.
    awaited: Option<Seq>,
    /// What arriving subscribers ask for already: it comes behind what they are sent as they are added.
    later: Vec<(SubscriberId, pages::Asked)>,
    checkpoints: Checkpoints,
    /// Numbers the events that have no seq.
    events: u64,
    /// Gone with the room: nobody waits for its positions any more.
    needed: Arc<()>,
}

pub(super) struct Worker {
    deps: Deps,
    rooms: HashMap<RoomId, Open>,
    /// The last place in each partition that this shard has seen: the head of rooms it opens.
    positions: Vec<Seq>,
    tail: Tail,
    /// Rooms whose older rows are being read for those who arrive.
    reaching: HashSet<RoomId>,
    /// Rooms for which the log is asked how far it reaches.
    asking: HashSet<RoomId>,
    /// Messages that are asked about and that this node has not seen yet.
    lookups: Vec<pages::Lookup>,
    /// The shard's part of everybody's list of rooms.
    inboxes: Inboxes,
    /// When to look at which room. One that needs it no more is looked at in vain.
    timers: Timers,
    moments: Moments,
    out: Vec<Output>,
    /// Connections that have frames to write.
    batch: Batch,
}

impl Worker {
    pub(super) fn new(deps: Deps, positions: Vec<Seq>) -> Self {
        let tail = Tail::new(&positions, deps.tuning.tail_bytes);
        let moments = Moments::every(deps.tuning.journal_every);
        Self {
            deps,
            rooms: HashMap::new(),
            positions,
            tail,
            reaching: HashSet::new(),
            asking: HashSet::new(),
            lookups: Vec::new(),
            inboxes: Inboxes::default(),
            timers: Timers::default(),
            moments,
            out: Vec::new(),
            batch: Batch::default(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::UnboundedReceiver<Input>,
        mut records: mpsc::Receiver<Arrived>,
    ) {
        loop {
            let next = self.timers.next();
            let timer = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Every arm is cancel-safe: `recv` takes nothing when dropped, the timer is made anew.
                input = inputs.recv() => match input {
                    Some(Input::Stop) | None => return,
                    Some(input) => self.input(input),
                },
                Some(arrived) = records.recv() => self.record(&arrived),
                () = timer => self.look(),
            }
            // What is there already is worked through first: its frames leave in the same writes.
            for _ in 1..BATCH {
                match (records.try_recv(), inputs.try_recv()) {
                    (Err(_), Err(_)) => break,
                    (record, input) => {
                        if let Ok(arrived) = record {
                            self.record(&arrived);
                        }
                        match input {
                            Ok(Input::Stop) => return,
                            Ok(input) => self.input(input),
                            Err(_) => {}
                        }
                    }
                }
            }
            self.ask_for_inboxes();
            self.batch.flush();
        }
    }

    fn partition(&self, room: RoomId) -> usize {
        partition_of(room, self.deps.epoch.partitions).into()
    }

    fn record(&mut self, (read, record): &Arrived) {
        let (room, seq) = (record.draft.room, record.seq);
        let position = self.partition(room);
        // A reading that begins further back than this one did brings nothing new.
        self.positions[position] = self.positions[position].max(seq);
        if self.tail.push(record) {
            self.with_room(room, |room, out| room.record(record, Instant::now(), out));
            self.with_inbox(room, |inbox, now| inbox.record(record, now));
            if self.rooms.contains_key(&room) {
                self.deps.timing.fan_out.note(read.elapsed());
            }
        } else {
            self.with_room(room, |room, _| room.pass(seq));
        }
        if self.rooms.get(&room).is_some_and(|open| open.awaited.is_some_and(|awaited| awaited <= seq)) {
            self.advance(room, None);
        }
        if !self.lookups.is_empty() {
            self.look_up(room, Instant::now());
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Subscribe { room, subscriber, outlet, wanted, taken } => {
                drop(taken);
                self.subscribe(room, subscriber, outlet, wanted);
            }
            Input::Unsubscribe { room, id } => {
                let left = self.unsubscribe(room, id);
                // It left before it was added: what it asked for is done with.
                if let Some(RoomOutlet { outlet, answer: Some(answer), .. }) = left {
                    answer.give(&outlet.outbox, &mut self.batch);
                }
            }
            Input::Acknowledge { room, id, seq, taken } => {
                drop(taken);
                self.with_room(room, |room, _| room.acknowledge(id, seq, Instant::now()));
            }
            Input::History { room, id, place, limit, answer, taken } => {
                let asked = pages::Asked::by_subscriber(id, place, limit, answer, taken);
                match self.rooms.get_mut(&room) {
                    Some(open) if open.arriving.contains_key(&id) => open.later.push((id, asked)),
                    _ => self.read_page(room, asked),
                }
            }
            Input::Page { room, place, limit, reply } => {
                self.read_page(room, pages::Asked::by_stranger(place, limit, reply));
            }
            Input::Find { room, seq, reply } => self.find(room, seq, reply),
            Input::Expel { room, user, reason } => {
                self.expel(room, user, reason);
                // Of a member who leaves, lists of rooms are told apart.
                if user.is_none() {
                    self.close_inbox(room, reason);
                    // Behind what was said of those who were in it.
                    self.deps.reading.end(room);
                }
            }
            Input::Latest { room, life, version } => {
                self.with_room(room, |room, out| room.latest(life, version, out));
                self.with_inbox(room, |inbox, _| inbox.latest(life, version));
            }
            Input::Change { room, change } => {
                self.with_room(room, |room, out| room.change(change, Instant::now(), out));
                self.with_inbox(room, |inbox, now| inbox.change(change, now));
            }
            Input::Inbox(input) => self.inbox_input(input),
            Input::Stored { partition, before } => self.tail.stored(partition, before),
            Input::Answer(fetched) => self.answer(fetched),
            Input::Resync => {
                self.with_every_room(Room::resync);
                self.with_every_inbox(Inbox::resync);
            }
            Input::Reassert => self.with_every_room(|room, out| room.reassert(out)),
            Input::Stop => {}
        }
    }

    fn answer(&mut self, Fetched { room, content }: Fetched) {
        match content {
            // Between that room and the one that is open now its changes may have gone past this node.
            FetchedContent::Positions(needed, _) if needed.strong_count() == 0 => {}
            FetchedContent::Positions(_, Positions::Since(changes)) => {
                self.with_room(room, |room, out| room.repair(changes, Instant::now(), out));
            }
            FetchedContent::Positions(_, Positions::Whole(snapshot)) => {
                self.with_room(room, |room, out| room.snapshot(snapshot, Instant::now(), out));
                self.advance(room, None);
            }
            FetchedContent::Older(hold, rows) => {
                self.older(room, &hold, self.if_whole(&hold, rows));
                // Only now: what was read is there for everybody who waits, however little room there is.
                self.tail.release(hold);
            }
            FetchedContent::End(end) => self.log_ends(room, end),
            FetchedContent::Page(asked, hold, rows) => {
                self.page(room, asked, self.if_whole(&hold, rows), hold.floor);
                self.tail.release(hold);
            }
            FetchedContent::Found(lookup, hold, found) => {
                let change = self.tail.change_of(room, lookup.seq).cloned();
                let found = self.if_whole(&hold, found);
                let _ = lookup.reply.send(found.map(|found| Target { found, change }));
                self.tail.release(hold);
            }
        }
    }

    /// What was read, unless memory had to let go meanwhile of what was to follow it.
    fn if_whole<T>(&self, hold: &Hold, read: Result<T, Unavailable>) -> Result<T, Unavailable> {
        read.and_then(|read| if self.tail.is_whole(hold) { Ok(read) } else { Err(Unavailable) })
    }

    fn subscribe(&mut self, id: RoomId, subscriber: Subscriber, outlet: RoomOutlet, wanted: Wanted) {
        let (head, now) = (self.positions[self.partition(id)], Instant::now());
        let new = || {
            let mut room = Room::new(id, head);
            // The authority may not have been told of their senders yet.
            self.tail.messages(id).for_each(|message| room.recall(message, now));
            room
        };
        let open = self.rooms.entry(id).or_insert_with(|| Open {
            room: new(),
            destinations: Destinations::new(id),
            outlets: HashMap::new(),
            arriving: HashMap::new(),
            awaited: None,
            later: Vec::new(),
            checkpoints: Checkpoints::default(),
            events: 0,
            needed: Arc::default(),
        });
        let wants_past = wanted.after.is_some() || wanted.history > 0;
        open.arriving.insert(subscriber.id, Arriving::new(outlet, wants_past.then_some(wanted), now));
        self.with_room(id, |room, out| room.subscribe(subscriber, wants_past, now, out));
        if wants_past {
            self.advance(id, Some(subscriber.id));
        }
    }

    /// Gives a room an input, carries out what comes of it, and forgets the room when nobody needs it.
    fn with_room(&mut self, id: RoomId, input: impl FnOnce(&mut Room, &mut Vec<Output>)) {
        let Some(open) = self.rooms.get_mut(&id) else { return };
        let waited = open.room.deadline();
        input(&mut open.room, &mut self.out);
        let checkpoint = Moved::by(&self.out).and_then(|moved| open.moved(moved, &self.moments));
        let mut readers = Vec::new();
        for output in self.out.drain(..) {
            match output {
                Output::Enter(user) => readers.push((user, None)),
                Output::Leave { user, taken } => readers.push((user, Some(taken))),
                _ => {}
            }
            carry_out::carry_out(&self.deps, open, output, &mut self.batch);
        }
        let due: Vec<_> = open.later.extract_if(.., |(id, _)| !open.arriving.contains_key(id)).collect();
        let deadline = open.room.deadline().filter(|deadline| Some(*deadline) != waited);
        if let Some(next) = deadline.into_iter().chain(checkpoint).min() {
            self.timers.set(id, next);
        }
        if open.room.is_idle() {
            self.rooms.remove(&id);
            self.deps.reading.close(id);
            if !self.inboxes.rooms.contains_key(&id) {
                self.deps.reading.forget(id);
            }
        }
        for (user, taken) in readers {
            self.with_inbox(id, |inbox, now| match taken {
                None => inbox.enter(user, now),
                Some(taken) => inbox.leave(user, taken, now),
            });
        }
        for (_, asked) in due {
            self.read_page(id, asked);
        }
    }

    fn with_every_room(&mut self, input: impl Fn(&mut Room, &mut Vec<Output>)) {
        let rooms: Vec<_> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.with_room(room, &input);
        }
    }

    /// Looks at the rooms whose time has come.
    fn look(&mut self) {
        let now = Instant::now();
        while let Some(room) = self.timers.pop(now) {
            let is_ready = |worker: &Self| worker.rooms.get(&room).is_some_and(|open| open.room.is_ready());
            let was_ready = is_ready(self);
            self.with_room(room, |room, out| room.flush_due(now, out));
            let overdue = self.rooms.get(&room).is_some_and(|open| open.awaited.is_some());
            if overdue || (!was_ready && is_ready(self)) {
                self.advance(room, None);
            }
            self.look_up(room, now);
            self.checkpoint(room, now);
            self.with_inbox(room, |_, _| ());
            // What is still to come there had no time of its own. Who arrives has set one again.
            let open = self.rooms.get(&room);
            let deadline = open.and_then(|open| open.room.deadline());
            let checkpoint = open.and_then(|open| open.checkpoints.due());
            let lookups = self.lookups.iter().filter(|lookup| lookup.room == room);
            if let Some(next) = lookups.map(|lookup| lookup.until).chain(deadline).chain(checkpoint).min() {
                self.timers.set(room, next);
            }
        }
    }
}

impl Open {
    /// The way to a subscriber, added or not.
    fn outlet(&self, id: SubscriberId) -> Option<&RoomOutlet> {
        self.outlets.get(&id).or_else(|| self.arriving.get(&id).map(|arriving| &arriving.outlet))
    }
}
