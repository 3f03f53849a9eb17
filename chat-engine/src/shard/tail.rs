//! The end of the log in memory: every record that this shard has worked through, as it reads by now, for as long as
//! there is room. Pages of history and resuming clients are served from here first; for what is older there are rows.
//!
//! Records leave in the order of their partition, so one place for each partition says from where on memory is complete:
//! its **floor**. What the database has leaves first. A room whose older rows are being read is *held*: nothing of it
//! leaves, and what was read is put before what is there, so that whoever comes next needs no database.

mod room;

use std::{
    collections::{HashMap, VecDeque},
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
    bytes: usize,
    budget: usize,
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
            bytes: 0,
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

    /// Takes the next record. `false` for an edit that says nothing, since its message is deleted: nobody is to see it.
    pub(super) fn push(&mut self, record: &Arc<Record>) -> bool {
        let (room, at) = (record.draft.room, self.partition(record.draft.room));
        if record.seq <= self.partitions[at].floor {
            // Rows from before the memory begins: only its last places matter to who follows live.
            return true;
        }
        let ticket = self.ticket();
        let tail = self.rooms.entry(room).or_default();
        let before = tail.bytes;
        let shown = tail.push(record);
        self.bytes = self.bytes + tail.bytes - before;
        self.partitions[at].order.push_back((ticket, room, record.seq));
        self.trim();
        shown
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

    /// Rows of `room` are being read: its floor stays where it is until [`release`](Self::release).
    pub(super) fn hold(&mut self, room: RoomId) {
        let floor = self.floor(room);
        let tail = self.rooms.entry(room).or_default();
        tail.holds += 1;
        tail.low = Some(floor);
    }

    /// The rows of `room` have come, or never will.
    pub(super) fn release(&mut self, room: RoomId) {
        let floor = self.partitions[self.partition(room)].floor;
        let ticket = self.ticket();
        let Some(tail) = self.rooms.get_mut(&room) else { return };
        tail.holds = tail.holds.saturating_sub(1);
        if tail.holds > 0 {
            return;
        }
        if tail.first().is_some_and(|first| first <= floor) {
            tail.queued = ticket;
            self.read.push_back((ticket, room));
            // A room that is read again stands there again: what it stood there before is struck out now and then.
            if self.read.len() > 2 * self.rooms.len() + READ_SLACK {
                let rooms = &self.rooms;
                self.read.retain(|(ticket, room)| rooms.get(room).is_some_and(|tail| tail.queued == *ticket));
            }
        } else {
            tail.low = None;
            if tail.is_empty() {
                self.rooms.remove(&room);
            }
        }
        self.trim();
    }

    /// Puts rows before what is here of a held room: all that there are after `low`, with present bodies as of the place
    /// before which `applied` says that changes are in them.
    pub(super) fn extend(&mut self, room: RoomId, rows: Vec<Arc<Record>>, applied: Seq, low: Seq) {
        let Some(tail) = self.rooms.get_mut(&room) else { return };
        let before = tail.bytes;
        tail.extend(rows, applied, low);
        self.bytes = self.bytes + tail.bytes - before;
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
        while self.bytes > self.budget
            && let Some(victim) = self.victim()
        {
            match victim {
                Victim::Oldest(at) => self.drop_oldest(at),
                Victim::Read => self.drop_read(),
            }
        }
    }

    /// The oldest of what the database has; if there is none, the oldest of all.
    fn victim(&self) -> Option<Victim> {
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
        // What is held, or stands behind what was read, leaves with that.
        if self.rooms.get(&room).is_some_and(|tail| tail.low.is_none()) {
            self.drop_up_to(room, seq);
        }
    }

    fn drop_read(&mut self) {
        let Some((ticket, room)) = self.read.pop_front() else { return };
        let floor = self.partitions[self.partition(room)].floor;
        let Some(tail) = self.rooms.get_mut(&room) else { return };
        // A held room is queued again when it is released; one that was read again stands further behind.
        if tail.holds > 0 || tail.queued != ticket {
            return;
        }
        tail.low = None;
        self.drop_up_to(room, floor);
    }

    fn drop_up_to(&mut self, room: RoomId, seq: Seq) {
        let Some(tail) = self.rooms.get_mut(&room) else { return };
        let before = tail.bytes;
        tail.drop_up_to(seq);
        self.bytes = self.bytes + tail.bytes - before;
        if tail.is_empty() && tail.holds == 0 {
            self.rooms.remove(&room);
        }
    }
}

/// Whether a page shows it.
fn is_shown(record: &Record) -> bool {
    !matches!(record.draft.kind, RecordKind::Edited | RecordKind::Deleted)
}

#[cfg(test)]
mod tests;
