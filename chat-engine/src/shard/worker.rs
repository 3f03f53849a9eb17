//! A shard's task: feeds its rooms and carries out what they ask for.

mod leaving;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{RoomId, Seq};
use sqlx::PgPool;
use tokio::sync::mpsc;

use super::{
    Answer, Input, RoomOutlet,
    outlet::{Destinations, ReadBody, RoomMessage, with_record_headers},
    tail::Tail,
};
use crate::{
    connection::{Batch, CloseReason},
    history::{self, Page, Span},
    log::{epoch::Epoch, partition_of},
    reading::{Reading, Snapshot},
    record::Record,
    room::{Output, Room, SubscriberId},
};

/// Between two attempts to fetch a room's positions.
const SNAPSHOT_RETRY: Duration = Duration::from_millis(200);

/// Records and inputs that are worked through before their frames are written, at most.
const BATCH: usize = 64;

/// What a shard asked for outside has come.
pub struct Fetched {
    room: RoomId,
    content: FetchedContent,
}

enum FetchedContent {
    Snapshot(Snapshot),
    Page { question: PageQuestion, page: sqlx::Result<Page> },
}

/// Whose history is being read, and which.
struct PageQuestion {
    subscriber: SubscriberId,
    before: Seq,
    limit: u16,
    /// Nobody is answered for the history that a SUBSCRIBE asks for: it is answered when it has been added.
    answer: Option<Answer>,
}

/// What a shard works with.
pub(super) struct Deps {
    pub(super) pool: PgPool,
    pub(super) epoch: Epoch,
    pub(super) reading: Reading,
    pub(super) answers: mpsc::UnboundedSender<Input>,
    /// Frames of fewer bytes are not compressed.
    pub(super) compress_from: usize,
}

/// A room and where its subscribers' frames go.
struct Open {
    room: Room,
    destinations: Destinations,
    /// Those that the room has added.
    outlets: HashMap<SubscriberId, RoomOutlet>,
    arriving: HashMap<SubscriberId, RoomOutlet>,
    /// What arriving subscribers ask for already: it comes behind what they are sent as they are added.
    later: Vec<PageQuestion>,
    /// Numbers the events that have no seq.
    events: u64,
}

pub(super) struct Worker {
    deps: Deps,
    rooms: HashMap<RoomId, Open>,
    /// The last place in each partition that this shard has seen: the head of rooms it opens.
    positions: Vec<Seq>,
    tail: Tail,
    /// Rooms with changes to send, in the order of their time: every room waits equally long.
    flushes: VecDeque<(Instant, RoomId)>,
    out: Vec<Output>,
    /// Connections that have frames to write.
    batch: Batch,
}

impl Worker {
    pub(super) fn new(deps: Deps, positions: Vec<Seq>) -> Self {
        Self {
            deps,
            rooms: HashMap::new(),
            positions,
            tail: Tail::default(),
            flushes: VecDeque::new(),
            out: Vec::new(),
            batch: Batch::default(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::UnboundedReceiver<Input>,
        mut records: mpsc::Receiver<Arc<Record>>,
    ) {
        loop {
            let flush = self.flushes.front().map(|(due, _)| *due);
            let flush_due = async {
                match flush {
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
                Some(record) = records.recv() => self.record(&record),
                () = flush_due => self.flush(),
            }
            // What is there already is worked through first: its frames leave in the same writes.
            for _ in 1..BATCH {
                match (records.try_recv(), inputs.try_recv()) {
                    (Err(_), Err(_)) => break,
                    (record, input) => {
                        if let Ok(record) = record {
                            self.record(&record);
                        }
                        match input {
                            Ok(Input::Stop) => return,
                            Ok(input) => self.input(input),
                            Err(_) => {}
                        }
                    }
                }
            }
            self.batch.flush();
        }
    }

    fn partition(&self, room: RoomId) -> u16 {
        partition_of(room, self.deps.epoch.partitions)
    }

    fn record(&mut self, record: &Arc<Record>) {
        let room = record.draft.room;
        let partition = self.partition(room);
        self.positions[usize::from(partition)] = record.seq;
        self.tail.push(record);
        self.with_room(room, |room, out| room.record(record, Instant::now(), out));
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Subscribe { room, subscriber, outlet, history, taken } => {
                drop(taken);
                let id = subscriber.id;
                let head = self.positions[usize::from(self.partition(room))];
                let open = self.rooms.entry(room).or_insert_with(|| Open {
                    room: Room::new(room, head),
                    destinations: Destinations::new(room),
                    outlets: HashMap::new(),
                    arriving: HashMap::new(),
                    later: Vec::new(),
                    events: 0,
                });
                open.arriving.insert(id, outlet);
                self.with_room(room, |room, out| room.subscribe(subscriber, history > 0, out));
                if history > 0 {
                    let before = Seq::from_raw(i64::MAX).unwrap_or_default();
                    self.read_page(
                        room,
                        PageQuestion { subscriber: id, before, limit: history, answer: None },
                    );
                }
            }
            Input::Unsubscribe { room, id } => drop(self.unsubscribe(room, id)),
            Input::History { room, id, before, limit, answer, taken } => {
                drop(taken);
                let question = PageQuestion { subscriber: id, before, limit, answer: Some(answer) };
                match self.rooms.get_mut(&room) {
                    Some(open) if open.arriving.contains_key(&id) => open.later.push(question),
                    _ => self.read_page(room, question),
                }
            }
            Input::Expel { room, user, reason } => self.expel(room, user, reason),
            Input::Change { room, change } => {
                self.with_room(room, |room, out| room.change(change, Instant::now(), out));
            }
            Input::Stored { partition, before } => {
                let partitions = self.deps.epoch.partitions;
                self.tail.trim(before, |room| partition_of(room, partitions) == partition);
            }
            Input::Answer(Fetched { room, content: FetchedContent::Snapshot(snapshot) }) => {
                self.with_room(room, |room, out| room.snapshot(snapshot, Instant::now(), out));
            }
            Input::Answer(Fetched { room, content: FetchedContent::Page { question, page } }) => {
                self.page(room, question, page);
            }
            Input::Resync => self.with_every_room(Room::resync),
            Input::Reassert => self.with_every_room(|room, out| room.reassert(out)),
            Input::Stop => {}
        }
    }

    /// Gives a room an input, carries out what comes of it, and forgets the room when nobody needs it.
    fn with_room(&mut self, id: RoomId, input: impl FnOnce(&mut Room, &mut Vec<Output>)) {
        let Some(open) = self.rooms.get_mut(&id) else { return };
        let waited = open.room.deadline();
        input(&mut open.room, &mut self.out);
        for output in self.out.drain(..) {
            carry_out(&self.deps, open, output, &mut self.batch);
        }
        let due: Vec<_> =
            open.later.extract_if(.., |asked| !open.arriving.contains_key(&asked.subscriber)).collect();
        if let Some(deadline) = open.room.deadline().filter(|deadline| Some(*deadline) != waited) {
            self.flushes.push_back((deadline, id));
        }
        if open.room.is_idle() {
            self.rooms.remove(&id);
            self.deps.reading.forget(id);
        }
        for question in due {
            self.read_page(id, question);
        }
    }

    fn with_every_room(&mut self, input: impl Fn(&mut Room, &mut Vec<Output>)) {
        let rooms: Vec<_> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.with_room(room, &input);
        }
    }

    fn flush(&mut self) {
        let now = Instant::now();
        while let Some((due, room)) = self.flushes.front().copied()
            && due <= now
        {
            self.flushes.pop_front();
            // A room that sent its changes early, before an arrival, has another entry if it has changes again.
            self.with_room(room, |room, out| room.flush_due(now, out));
        }
    }

    fn read_page(&mut self, room: RoomId, question: PageQuestion) {
        self.tail.hold(room);
        let (pool, epoch) = (self.deps.pool.clone(), self.deps.epoch);
        let (partition, answers) = (self.partition(room), self.deps.answers.clone());
        tokio::spawn(async move {
            let span = Span::Before(question.before);
            let page = history::page(&pool, epoch, partition, room, span, question.limit, false).await;
            let content = FetchedContent::Page { question, page };
            let _ = answers.send(Input::Answer(Fetched { room, content }));
        });
    }

    fn page(&mut self, room: RoomId, question: PageQuestion, page: sqlx::Result<Page>) {
        self.tail.release(room);
        let PageQuestion { subscriber, before, limit, answer } = question;
        let Some(open) = self.rooms.get(&room) else { return };
        let Some(outlet) = open.outlets.get(&subscriber).or_else(|| open.arriving.get(&subscriber)) else {
            return;
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, %room, "history cannot be read");
                outlet.outlet.outbox.close(CloseReason::HistoryUnavailable);
                return;
            }
        };
        let outbox = outlet.outlet.outbox.clone();
        let records = self.tail.complete(room, page, before, open.room.head(), usize::from(limit));
        self.with_room(room, |room, out| room.history(subscriber, records, out));
        if let Some(answer) = answer {
            answer.give(&outbox, &mut self.batch);
        }
    }
}

fn carry_out(deps: &Deps, open: &mut Open, output: Output, batch: &mut Batch) {
    let room = open.room.id();
    match output {
        Output::Record(counted) => with_record_headers(&counted, false, |id, headers, body| {
            let seq = counted.0.seq;
            let mut message = RoomMessage::new(&open.destinations, id, headers, body, deps.compress_from);
            for (id, outlet) in &open.outlets {
                message.push(outlet, Some((*id, seq)), batch);
            }
        }),
        Output::Read(ranges) => broadcast_event(deps, open, &ReadBody::changes(&ranges), batch),
        Output::Reset(steps) => broadcast_event(deps, open, &ReadBody::reset(steps), batch),
        Output::History(to, records) => {
            let Some(outlet) = open.outlets.get(&to).or_else(|| open.arriving.get(&to)) else { return };
            for counted in &records {
                with_record_headers(counted, true, |id, headers, body| {
                    RoomMessage::new(&open.destinations, id, headers, body, deps.compress_from)
                        .push(outlet, None, batch);
                });
            }
        }
        Output::Added(id) => {
            let Some(mut outlet) = open.arriving.remove(&id) else { return };
            if let Some(answer) = outlet.answer.take() {
                answer.give(&outlet.outlet.outbox, batch);
            }
            open.outlets.insert(id, outlet);
        }
        Output::FetchSnapshot => {
            let (reading, answers) = (deps.reading.clone(), deps.answers.clone());
            tokio::spawn(async move {
                loop {
                    match reading.snapshot(room).await {
                        Ok(snapshot) => {
                            let content = FetchedContent::Snapshot(snapshot);
                            let _ = answers.send(Input::Answer(Fetched { room, content }));
                            return;
                        }
                        Err(error) => {
                            tracing::warn!(%error, %room, "positions cannot be fetched, trying again");
                        }
                    }
                    tokio::select! {
                        () = tokio::time::sleep(SNAPSHOT_RETRY) => {}
                        // The node stops: nobody waits for the answer.
                        () = answers.closed() => return,
                    }
                }
            });
        }
        Output::Enter(user) => deps.reading.enter(room, user),
        Output::Leave { user, taken } => deps.reading.leave(room, user, taken),
    }
}

fn broadcast_event(deps: &Deps, open: &mut Open, body: &ReadBody, batch: &mut Batch) {
    open.events += 1;
    let id = format!("e{}", open.events);
    let headers = [("content-type", "application/json")];
    // Numbers: nothing in it can fail to serialise.
    let body = serde_json::to_vec(body).expect("a read event is JSON");
    let mut message = RoomMessage::new(&open.destinations, &id, &headers, &body, deps.compress_from);
    for outlet in open.outlets.values() {
        message.push(outlet, None, batch);
    }
}
