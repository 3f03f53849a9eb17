//! The records that this node has worked through and that PostgreSQL may not have yet. With the rows before
//! them they make a page of history without a gap.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use shared::{RoomId, Seq};

use crate::{history::Page, record::Record};

/// The end of the log, by room.
#[derive(Debug, Default)]
pub(super) struct Tail {
    rooms: HashMap<RoomId, RoomTail>,
}

#[derive(Debug, Default)]
struct RoomTail {
    records: VecDeque<Arc<Record>>,
    /// Pages on their way. They may have been read before the rows that are stored by now: nothing is dropped.
    pages: u32,
}

impl Tail {
    pub(super) fn push(&mut self, record: &Arc<Record>) {
        self.rooms.entry(record.draft.room).or_default().records.push_back(record.clone());
    }

    /// A page of `room` is being read.
    pub(super) fn hold(&mut self, room: RoomId) {
        self.rooms.entry(room).or_default().pages += 1;
    }

    /// The page of `room` has come, or never will.
    pub(super) fn release(&mut self, room: RoomId) {
        if let Some(tail) = self.rooms.get_mut(&room) {
            tail.pages = tail.pages.saturating_sub(1);
        }
    }

    /// Drops what is in the database: records before `stored`, in rooms of the partition that `belongs` knows.
    pub(super) fn trim(&mut self, stored: Seq, belongs: impl Fn(RoomId) -> bool) {
        self.rooms.retain(|room, tail| {
            if tail.pages > 0 || !belongs(*room) {
                return true;
            }
            while tail.records.front().is_some_and(|record| record.seq < stored) {
                tail.records.pop_front();
            }
            !tail.records.is_empty()
        });
    }

    /// The last `limit` records of `room` before `before` and up to `head`: the rows of `page`, and behind them
    /// what the database did not have when they were read.
    pub(super) fn complete(
        &self,
        room: RoomId,
        page: Page,
        before: Seq,
        head: Seq,
        limit: usize,
    ) -> Vec<Arc<Record>> {
        let wanted = |record: &&Arc<Record>| record.seq < before && record.seq <= head;
        let mut records = page.records;
        records.retain(|record| wanted(&record));
        if let Some(tail) = self.rooms.get(&room) {
            let behind = tail.records.iter().filter(|record| record.seq >= page.stored);
            records.extend(behind.filter(wanted).cloned());
        }
        records.drain(..records.len().saturating_sub(limit));
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Draft;

    fn record(seq: i64) -> Arc<Record> {
        let draft = Draft::message(room(), 1.try_into().unwrap(), None, None, "x");
        Arc::new(Record { seq: Seq::from_raw(seq).unwrap(), draft })
    }

    fn room() -> RoomId {
        1.try_into().unwrap()
    }

    fn seq(raw: i64) -> Seq {
        Seq::from_raw(raw).unwrap()
    }

    fn seqs(records: &[Arc<Record>]) -> Vec<i64> {
        records.iter().map(|record| record.seq.get()).collect()
    }

    #[test]
    fn rows_and_tail_meet_without_gap_or_repeat() {
        let mut tail = Tail::default();
        (3..=9).for_each(|n| tail.push(&record(n)));
        let page = || Page { records: (1..=5).map(record).collect(), stored: seq(6) };
        let complete =
            |before, head, limit| seqs(&tail.complete(room(), page(), seq(before), seq(head), limit));
        assert_eq!(complete(100, 9, 100), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(complete(100, 9, 3), [7, 8, 9]);
        assert_eq!(complete(8, 9, 3), [5, 6, 7]);
        // Not yet worked through here: it will come live.
        assert_eq!(complete(100, 7, 2), [6, 7]);
    }

    #[test]
    fn nothing_is_dropped_while_a_page_is_read() {
        let mut tail = Tail::default();
        (1..=3).for_each(|n| tail.push(&record(n)));
        tail.hold(room());
        tail.trim(seq(3), |_| true);
        let empty = || Page { records: Vec::new(), stored: seq(1) };
        assert_eq!(seqs(&tail.complete(room(), empty(), seq(9), seq(9), 9)), [1, 2, 3]);
        tail.release(room());
        tail.trim(seq(3), |_| true);
        assert_eq!(seqs(&tail.complete(room(), empty(), seq(9), seq(9), 9)), [3]);
    }
}
