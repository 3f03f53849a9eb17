//! A room on one node: a pure state machine. Records, changes of positions, subscribes and the time go in;
//! frames and calls come out.
//!
//! Everything about the room passes through here in **one order**, and every subscriber's frames follow it. So
//! a message carries its unread count as of its own place in that order, and a later change is told as a finite
//! range of messages that were framed before it. That makes the counts exact without a version or a round trip:
//! a client adds `by` to the messages it shows with `from < seq ≤ to`, and is done.
//!
//! Call any input, then carry out the [`Output`]s it pushed, in order, before the next input; call
//! [`flush_due`](Room::flush_due) when [`deadline`](Room::deadline) has come.

mod acknowledged;
mod arrivals;
mod checkpoint;
mod output;
mod pending;
mod repair;
mod replica;
mod subscriber;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use acknowledged::Acknowledged;
use arrivals::Arrival;
pub use arrivals::Past;
pub use output::{Counted, Output, ReadRange};
pub use replica::Replica;
use shared::{RoomId, Seq, UserId};
use subscriber::Reader;
pub use subscriber::{Subscriber, SubscriberId};

use crate::{
    reading::{Change, Life, Snapshot},
    record::{Record, RecordKind},
};

/// How long changes of counts are collected into one frame.
pub const MERGE_WINDOW: Duration = Duration::from_millis(100);

/// How long subscribers wait for the room's positions before they are let in without counts.
pub const COUNTS_PATIENCE: Duration = Duration::from_secs(1);

/// The state of a room with subscribers on this node.
#[derive(Clone, Debug)]
pub struct Room {
    id: RoomId,
    /// The last record worked through. Never behind any record of this room that this node has seen.
    head: Seq,
    replica: Option<Replica>,
    /// The last message of each sender that is known here: they have read what came before, whatever an authority says that
    /// has not been told of it, or has lost it.
    sent: HashMap<UserId, Seq>,
    /// An answer of the authority is on its way; changes wait for it.
    fetching: bool,
    /// Changes may have been missed since it was asked: it is to be asked again.
    again: bool,
    /// What the authority was said to have meanwhile.
    latest: Option<(Life, u64)>,
    /// Until when subscribers wait for the first replica.
    patience: Option<Instant>,
    /// The first replica takes too long: who comes is let in, and messages go out, without counts.
    uncounted: bool,
    waiting_changes: Vec<Change>,
    arrivals: Vec<Arrival>,
    subscribers: HashMap<SubscriberId, Subscriber>,
    readers: HashMap<UserId, Reader>,
    pending: Vec<ReadRange>,
    pending_since: Option<Instant>,
    acknowledged: Acknowledged,
}

impl Room {
    /// A room whose records up to `head` are history.
    pub fn new(id: RoomId, head: Seq) -> Self {
        Self {
            id,
            head,
            replica: None,
            sent: HashMap::new(),
            fetching: false,
            again: false,
            latest: None,
            patience: None,
            uncounted: false,
            waiting_changes: Vec::new(),
            arrivals: Vec::new(),
            subscribers: HashMap::new(),
            readers: HashMap::new(),
            pending: Vec::new(),
            pending_since: None,
            acknowledged: Acknowledged::default(),
        }
    }

    /// Which room.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// The last record worked through.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// The life and the version of the replica; `None` before there is one.
    pub fn version(&self) -> Option<(Life, u64)> {
        self.replica.as_ref().map(|replica| (replica.life, replica.version))
    }

    /// Whether nobody here needs the room any more.
    pub fn is_idle(&self) -> bool {
        self.subscribers.is_empty() && self.arrivals.is_empty()
    }

    /// Whether somebody who arrives is let in at once. Before that the room waits for its positions.
    pub fn is_ready(&self) -> bool {
        self.replica.is_some() || self.uncounted
    }

    /// When [`flush_due`](Self::flush_due) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let pending = self.pending_since.map(|since| since + MERGE_WINDOW);
        [pending, self.acknowledged.deadline(), self.patience].into_iter().flatten().min()
    }

    /// The next record of the log is one that nobody is to see.
    pub fn pass(&mut self, seq: Seq) {
        self.head = self.head.max(seq);
    }

    /// The next record of the log.
    pub fn record(&mut self, record: &Arc<Record>, now: Instant, out: &mut Vec<Output>) {
        if record.seq <= self.head {
            return;
        }
        self.recall(record, now);
        self.head = record.seq;
        if !self.subscribers.is_empty() {
            out.push(Output::Record(self.count(record)));
        }
    }

    /// A message of this room, worked through or older: who answers has read what came before. That is known here before
    /// the authority is told, so that nobody is counted as not having read what they wrote.
    pub fn recall(&mut self, record: &Record, now: Instant) {
        if record.draft.kind != RecordKind::Message {
            return;
        }
        let (user, seq) = (record.draft.user, record.seq);
        let sent = self.sent.entry(user).or_default();
        *sent = seq.max(*sent);
        if let Some(position) = self.replica.as_ref().and_then(|replica| replica.position(user)) {
            self.shift(user, Some(position), Some(position.max(seq)), now);
        }
    }

    /// A change that the authority has made.
    pub fn change(&mut self, change: Change, now: Instant, out: &mut Vec<Output>) {
        if self.fetching || self.replica.is_none() {
            self.waiting_changes.push(change);
            return;
        }
        let Some(replica) = &mut self.replica else { return };
        let same_life = change.life == replica.life;
        if same_life && change.version <= replica.version {
            return;
        }
        if !same_life || change.version > replica.version + 1 {
            // A change was lost on the way, or all that the authority knew: count on as well as we can until an answer has
            // come. This one is in it, unless the authority has lost it.
            self.fetch(out);
            return;
        }
        replica.version = change.version;
        // The replica's own before and after, not the change's: a record worked through earlier may have moved
        // the position further.
        let from = replica.position(change.user);
        let sent = self.sent.get(&change.user).copied().unwrap_or_default();
        let to = change.to.map(|to| to.max(from.unwrap_or_default()).max(sent));
        self.shift(change.user, from, to, now);
    }

    /// The snapshot that was asked for last. It counts even if its version is lower than what this room has seen: the
    /// authority has then lost its last changes, and numbers those to come from there.
    pub fn snapshot(&mut self, snapshot: Snapshot, now: Instant, out: &mut Vec<Output>) {
        self.fetching = false;
        self.patience = None;
        if std::mem::take(&mut self.uncounted) {
            // Nobody may have listened when they entered.
            self.reassert(out);
        }
        if self.replica.as_ref().is_some_and(|replica| replica.life != snapshot.life) {
            // The authority has lost who reads here, with everything else.
            self.reassert(out);
        }
        let mut replica = Replica::new(snapshot);
        for (user, sent) in &self.sent {
            if replica.position(*user).is_some_and(|position| position < *sent) {
                replica.set(*user, Some(*sent));
            }
        }
        // Whoever is here counts from something older, or has no counts at all.
        if !self.subscribers.is_empty() {
            out.push(Output::Reset(replica.steps()));
        }
        // It is contained in the new counts.
        self.drop_pending();
        self.replica = Some(replica);
        self.go_on(Vec::new(), now, out);
        self.admit(out);
    }

    /// The authority has forgotten who reads here: says it again. Saying it once too often changes nothing.
    pub fn reassert(&self, out: &mut Vec<Output>) {
        out.extend(self.readers.keys().map(|user| Output::Enter(*user)));
    }

    /// Older records that a subscriber asked for, in order.
    pub fn history(
        &mut self,
        to: SubscriberId,
        records: &[Arc<Record>],
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        if self.subscribers.contains_key(&to) {
            for record in records {
                self.recall(record, now);
            }
            out.push(Output::History(to, records.iter().map(|record| self.count(record)).collect()));
        }
    }

    /// A subscriber is gone; they are known to have taken everything up to `taken`, or all that was framed for `None`.
    pub fn unsubscribe(&mut self, id: SubscriberId, taken: Option<Seq>, out: &mut Vec<Output>) {
        self.arrivals.retain(|arrival| arrival.subscriber.id != id);
        let Some(subscriber) = self.subscribers.remove(&id) else { return };
        if self.subscribers.is_empty() {
            self.drop_pending();
        }
        self.acknowledged.tell_of(subscriber.user, out);
        if !subscriber.reads {
            return;
        }
        let taken = taken.unwrap_or(self.head).min(self.head);
        let Some(reader) = self.readers.get_mut(&subscriber.user) else { return };
        reader.subscriptions -= 1;
        reader.taken = reader.taken.max(taken);
        if reader.subscriptions == 0 {
            let taken = reader.taken;
            self.readers.remove(&subscriber.user);
            out.push(Output::Leave { user: subscriber.user, taken });
        }
    }

    /// Whether a member is reading here.
    pub fn is_reading(&self, user: UserId) -> bool {
        self.readers.contains_key(&user)
    }

    /// The subscribers of one member.
    pub fn subscribers_of(&self, user: UserId) -> Vec<SubscriberId> {
        let arriving = self.arrivals.iter().map(|arrival| &arrival.subscriber);
        let all = self.subscribers.values().chain(arriving);
        all.filter(|subscriber| subscriber.user == user).map(|subscriber| subscriber.id).collect()
    }

    /// Sends and tells what was collected if its time has come, and lets in who has waited long enough for counts.
    pub fn flush_due(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.pending_since.is_some_and(|since| since + MERGE_WINDOW <= now) {
            self.flush(out);
        }
        if self.acknowledged.deadline().is_some_and(|due| due <= now) {
            self.acknowledged.tell(out);
        }
        if self.patience.is_some_and(|until| until <= now) {
            self.patience = None;
            self.uncounted = true;
            self.admit(out);
        }
    }

    /// Counts as who is here shows them: what is pending is still to be told, also to whoever is sent this.
    fn count(&self, record: &Arc<Record>) -> Counted {
        let counted = record.draft.kind == RecordKind::Message;
        let replica = self.replica.as_ref().filter(|_| counted);
        let unread =
            replica.map(|replica| pending::before(&self.pending, record.seq, replica.unread(record.seq)));
        (record.clone(), unread)
    }

    fn drop_pending(&mut self) {
        self.pending.clear();
        self.pending_since = None;
    }

    /// Moves a member in the replica and notes what that does to messages already framed.
    fn shift(&mut self, user: UserId, from: Option<Seq>, to: Option<Seq>, now: Instant) {
        if from == to {
            return;
        }
        if let Some(replica) = &mut self.replica {
            replica.set(user, to);
        }
        if self.subscribers.is_empty() {
            return;
        }
        // Reading now is past everything; but only what was framed can be told of.
        let end = |position: Option<Seq>| position.map_or(self.head, |seq| seq.min(self.head));
        let (low, high, by) = match (from, to) {
            (Some(from), Some(to)) if to < from => (to, end(Some(from)), 1),
            (Some(from), to) => (from, end(to), -1),
            (None, Some(to)) => (to, self.head, 1),
            (None, None) => return,
        };
        if low < high {
            self.pending_since.get_or_insert(now);
            self.pending.push(ReadRange { from: low, to: high, by });
        }
    }

    fn flush(&mut self, out: &mut Vec<Output>) {
        self.pending_since = None;
        let changes = pending::merge(std::mem::take(&mut self.pending));
        if !changes.is_empty() {
            out.push(Output::Read(changes));
        }
    }
}
