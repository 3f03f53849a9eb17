//! The end of the log in memory: every record that this shard has worked through, as it reads by now, for as long as
//! there is room. Pages of history and resuming clients are served from here first; for what is older there are rows.
//!
//! Records leave in the order of their partition, so one place for each partition says from where on memory is complete:
//! its **floor**. What the database has leaves first. A room whose older rows are being read is *held*: nothing of it
//! leaves, and what was read is put before what is there, so that whoever comes next needs no database.
//!
//! What stays only because it is held may take half as much again. Beyond that, as when the database hangs and rooms are
//! held for as long as somebody waits for it, the rooms that keep the most are let go. Who holds one learns it from its
//! floor: records that were to follow the rows are gone, so the rows are of no use. Nothing else is dropped for what is
//! held.

mod room;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use room::RoomTail;
use shared::{RoomId, Seq};

use crate::{
    log::partition_of,
    record::{Record, RecordKind},
};

/// What a record takes besides its texts: itself, its counts, its places in two queues.
const OVERHEAD: usize = size_of::<Record>() + 64;

/// Places in the queue of read rooms that may be out of date, beside as many as there are rooms.
const READ_SLACK: usize = 64;

/// Deletions that are remembered when memory lets go of them: an edit that lost the race to one comes soon behind it.
const GONE: usize = 10_000;

/// What is kept for those who hold rooms may be this part of the budget, beside it.
const HELD_SHARE: usize = 2;

/// The memory that a record takes.
fn size(record: &Record) -> usize {
    OVERHEAD + record.draft.body.len() + record.draft.client_id.as_ref().map_or(0, |id| id.len())
}

/// The end of the log, by room.
#[derive(Debug)]
pub(super) struct Tail {
    partitions: Vec<Partition>,
    rooms: HashMap<RoomId, RoomTail>,
    /// Rooms with records that were read from the database, by the time of the reading.
    read: VecDeque<(u64, RoomId)>,
    /// Numbers what comes in: the older goes first.
    tickets: u64,
    /// Messages whose deletion is in memory no more, the latest ones, and the order in which they go.
    gone: HashSet<(RoomId, Seq)>,
    gone_order: VecDeque<(RoomId, Seq)>,
    /// Rooms that are held.
    held: HashSet<RoomId>,
    bytes: usize,
    /// How much of it is there only because it is held.
    kept: usize,
    budget: usize,
}

/// A room whose rows are being read. To be given back to [`Tail::release`].
#[derive(Debug)]
#[must_use = "what is held stays in memory until it is released"]
pub(super) struct Hold {
    room: RoomId,
    /// The room's floor when it was taken: everything after it was in memory.
    pub(super) floor: Seq,
}

#[derive(Debug)]
struct Partition {
    /// What came from the log and has not left.
    order: VecDeque<(u64, RoomId, Seq)>,
    /// Everything after this place is in memory.
    floor: Seq,
    /// Everything before this place is in the database.
    stored: Seq,
}

/// What is to leave next.
enum Victim {
    Oldest(usize),
    Read,
    Held,
}

impl Tail {
    /// An empty memory of at most `budget` bytes. Records will come from behind `positions`, one for each partition.
    pub(super) fn new(positions: &[Seq], budget: usize) -> Self {
        let partition = |floor: &Seq| Partition { order: VecDeque::new(), floor: *floor, stored: Seq::ZERO };
        Self {
            partitions: positions.iter().map(partition).collect(),
            rooms: HashMap::new(),
            read: VecDeque::new(),
            tickets: 0,
            gone: HashSet::new(),
            gone_order: VecDeque::new(),
            held: HashSet::new(),
            bytes: 0,
            kept: 0,
            budget,
        }
    }

    fn partition(&self, room: RoomId) -> usize {
        // There are at most 1,024.
        partition_of(room, u16::try_from(self.partitions.len()).unwrap_or(u16::MAX)).into()
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Takes the next record. `false` for one that nobody is to see: an edit that says nothing, since its message is
    /// deleted, or what stands before the memory begins.
    pub(super) fn push(&mut self, record: &Arc<Record>) -> bool {
        let (room, at) = (record.draft.room, self.partition(record.draft.room));
        if record.seq <= self.partitions[at].floor {
            if let Some(target) = deleted_by(record) {
                self.note_gone(room, target);
            }
            return false;
        }
        let ticket = self.ticket();
        self.rooms.entry(room).or_default();
        let is_late = record.draft.kind == RecordKind::Edited
            && record.draft.target.is_some_and(|target| self.gone.contains(&(room, target)));
        let push = |tail: &mut RoomTail| if is_late { tail.push_void(record) } else { tail.push(record) };
        let shown = self.with(room, push).unwrap_or(true);
        self.partitions[at].order.push_back((ticket, room, record.seq));
        self.trim();
        shown
    }

    /// Does something to a room that is there, keeps account of what that means for memory, and forgets the room if nothing
    /// is left of it.
    fn with<R>(&mut self, room: RoomId, act: impl FnOnce(&mut RoomTail) -> R) -> Option<R> {
        let tail = self.rooms.get_mut(&room)?;
        let (bytes, kept) = (tail.bytes, tail.kept());
        let done = act(tail);
        self.bytes = self.bytes + tail.bytes - bytes;
        self.kept = self.kept + tail.kept() - kept;
        if tail.is_empty() && tail.holds == 0 {
            self.rooms.remove(&room);
        }
        Some(done)
    }

    /// From where on the memory of a room is complete: everything after this place is here.
    pub(super) fn floor(&self, room: RoomId) -> Seq {
        let floor = self.partitions[self.partition(room)].floor;
        self.rooms.get(&room).and_then(|tail| tail.low).unwrap_or(floor)
    }

    /// Rows of `partition` before this place are in the database.
    pub(super) fn stored(&mut self, partition: u16, before: Seq) {
        if let Some(partition) = self.partitions.get_mut(usize::from(partition)) {
            partition.stored = partition.stored.max(before);
        }
        self.trim();
    }

    /// Rows of `room` are being read: its floor stays where it is until [`release`](Self::release), if there is room.
    pub(super) fn hold(&mut self, room: RoomId) -> Hold {
        let floor = self.floor(room);
        self.rooms.entry(room).or_default();
        self.with(room, |tail| {
            tail.holds += 1;
            tail.low = Some(floor);
        });
        self.held.insert(room);
        Hold { room, floor }
    }

    /// Whether everything is still there that was when the room was held. Otherwise there is a gap behind the rows, and
    /// perhaps a change that would be applied to them.
    pub(super) fn is_whole(&self, hold: &Hold) -> bool {
        // A floor that is lower again has records above it without a gap, whatever was let go in between.
        self.floor(hold.room) <= hold.floor
    }

    /// The rows have come, or never will.
    #[expect(clippy::needless_pass_by_value, reason = "nobody holds it any more")]
    pub(super) fn release(&mut self, hold: Hold) {
        let Hold { room, .. } = hold;
        let floor = self.partitions[self.partition(room)].floor;
        let ticket = self.ticket();
        let released = self.with(room, |tail| {
            tail.holds = tail.holds.saturating_sub(1);
            if tail.holds > 0 {
                return None;
            }
            let has_older = tail.first().is_some_and(|first| first <= floor);
            if has_older {
                tail.queued = ticket;
            } else {
                tail.let_go();
            }
            Some(has_older)
        });
        if let Some(has_older) = released.flatten() {
            self.held.remove(&room);
            if has_older {
                self.queue_read(ticket, room);
            }
        }
        self.trim();
    }

    fn queue_read(&mut self, ticket: u64, room: RoomId) {
        self.read.push_back((ticket, room));
        // A room that is read again stands there again: what it stood there before is struck out now and then.
        if self.read.len() > 2 * self.rooms.len() + READ_SLACK {
            let rooms = &self.rooms;
            self.read.retain(|(ticket, room)| rooms.get(room).is_some_and(|tail| tail.queued == *ticket));
        }
    }

    /// Puts rows before what is here of a room that is held and [whole](Self::is_whole): all that there are after `low`,
    /// with present bodies as of the place before which `applied` says that changes are in them.
    pub(super) fn extend(&mut self, hold: &Hold, rows: Vec<Arc<Record>>, applied: Seq, low: Seq) {
        debug_assert!(self.is_whole(hold), "rows before a gap");
        self.with(hold.room, |tail| tail.extend(rows, applied, low));
    }

    /// At most `limit` records after a place, as a replay repeats them. The place is not below the floor.
    pub(super) fn missed(&self, room: RoomId, after: Seq, limit: usize) -> Vec<Arc<Record>> {
        let Some(tail) = self.rooms.get(&room) else { return Vec::new() };
        tail.after(after).filter(|record| !record.draft.body.is_empty()).take(limit).cloned().collect()
    }

    /// The last `limit` records before a place, as a page shows them: fewer if memory has no more.
    pub(super) fn shown_before(&self, room: RoomId, before: Seq, limit: usize) -> Vec<Arc<Record>> {
        let Some(tail) = self.rooms.get(&room) else { return Vec::new() };
        let mut page: Vec<_> =
            tail.before(before).filter(|record| is_shown(record)).take(limit).cloned().collect();
        page.reverse();
        page
    }

    /// The first `limit` records after a place, as a page shows them.
    pub(super) fn shown_after(&self, room: RoomId, after: Seq, limit: usize) -> Vec<Arc<Record>> {
        let Some(tail) = self.rooms.get(&room) else { return Vec::new() };
        tail.after(after).filter(|record| is_shown(record)).take(limit).cloned().collect()
    }

    /// The messages that are here, the last one first.
    pub(super) fn messages(&self, room: RoomId) -> impl Iterator<Item = &Arc<Record>> {
        let end = Seq::from_raw(i64::MAX).unwrap_or_default();
        let records = self.rooms.get(&room).into_iter().flat_map(move |tail| tail.before(end));
        records.filter(|record| record.draft.kind == RecordKind::Message)
    }

    /// The edits and deletions from a place on.
    pub(super) fn changes_from(&self, room: RoomId, from: Seq) -> Vec<Arc<Record>> {
        self.rooms.get(&room).map(|tail| tail.changes_from(from)).unwrap_or_default()
    }

    /// A record that is here.
    pub(super) fn find(&self, room: RoomId, seq: Seq) -> Option<&Arc<Record>> {
        self.rooms.get(&room)?.find(seq)
    }

    /// The edit or deletion here that counts for a message.
    pub(super) fn change_of(&self, room: RoomId, message: Seq) -> Option<&Arc<Record>> {
        self.rooms.get(&room)?.change_of(message)
    }

    fn trim(&mut self) {
        while let Some(victim) = self.victim() {
            match victim {
                Victim::Oldest(at) => self.drop_oldest(at),
                Victim::Read => self.drop_read(),
                Victim::Held => self.drop_held(),
            }
        }
    }

    /// What is held, if that is too much. Else the oldest of what the database has; if there is none, the oldest of all.
    fn victim(&self) -> Option<Victim> {
        if self.kept > self.budget / HELD_SHARE {
            return Some(Victim::Held);
        }
        if self.bytes - self.kept <= self.budget {
            return None;
        }
        let read = self.read.front().map(|(ticket, _)| (*ticket, Victim::Read));
        let fronts = || {
            let partitions = self.partitions.iter().enumerate();
            partitions.filter_map(|(at, partition)| {
                let (ticket, _, seq) = partition.order.front()?;
                Some((*ticket, *seq < partition.stored, Victim::Oldest(at)))
            })
        };
        let stored = fronts().filter(|(_, stored, _)| *stored).map(|(ticket, _, victim)| (ticket, victim));
        let oldest = stored.chain(read).min_by_key(|(ticket, _)| *ticket);
        let oldest = oldest.or_else(|| {
            fronts().map(|(ticket, _, victim)| (ticket, victim)).min_by_key(|(ticket, _)| *ticket)
        });
        oldest.map(|(_, victim)| victim)
    }

    fn drop_oldest(&mut self, at: usize) {
        let Some((_, room, seq)) = self.partitions[at].order.pop_front() else { return };
        self.partitions[at].floor = seq;
        let deleted = self.find(room, seq).and_then(|record| deleted_by(record));
        self.with(room, |tail| match tail.low {
            None => tail.drop_up_to(seq),
            // What is held, or stands behind what was read, leaves with that.
            Some(_) => tail.outlast(seq),
        });
        if let Some(target) = deleted {
            self.note_gone(room, target);
        }
    }

    /// A message is deleted by what is in memory no more, or never was.
    fn note_gone(&mut self, room: RoomId, message: Seq) {
        if !self.gone.insert((room, message)) {
            return;
        }
        self.gone_order.push_back((room, message));
        if self.gone_order.len() > GONE
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }

    fn drop_read(&mut self) {
        let Some((ticket, room)) = self.read.pop_front() else { return };
        // A held room is queued again when it is released; one that was read again stands further behind.
        if self.rooms.get(&room).is_some_and(|tail| tail.holds == 0 && tail.queued == ticket) {
            self.let_go(room);
        }
    }

    /// The room that keeps the most, so that few have to go.
    fn drop_held(&mut self) {
        let kept = |room: &&RoomId| self.rooms.get(room).map_or(0, RoomTail::kept);
        if let Some(room) = self.held.iter().max_by_key(kept).copied() {
            self.let_go(room);
        }
    }

    /// Drops what stays below the partition's floor.
    fn let_go(&mut self, room: RoomId) {
        let floor = self.partitions[self.partition(room)].floor;
        self.with(room, |tail| {
            tail.let_go();
            tail.drop_up_to(floor);
        });
    }
}

/// The message that a record deletes, if it is a deletion.
fn deleted_by(record: &Record) -> Option<Seq> {
    record.draft.target.filter(|_| record.draft.kind == RecordKind::Deleted)
}

/// Whether a page shows it.
fn is_shown(record: &Record) -> bool {
    !matches!(record.draft.kind, RecordKind::Edited | RecordKind::Deleted)
}

#[cfg(test)]
mod tests;
