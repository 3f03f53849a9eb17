//! One room's records in memory, each with what it says by now.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use shared::Seq;

use super::{deleted_by, size};
use crate::record::{
    Draft, Record, RecordKind,
    present::{self, fold},
};

#[derive(Debug, Default)]
pub(super) struct RoomTail {
    /// In order. The body of an edit that a later change has overtaken is empty.
    records: VecDeque<Arc<Record>>,
    /// For each message that has been changed here, the change that counts.
    changes: HashMap<Seq, Seq>,
    pub(super) bytes: usize,
    /// Everything after this place is here, though the partition's floor is higher.
    pub(super) low: Option<Seq>,
    /// Readings under way.
    pub(super) holds: u32,
    /// Its ticket among the rooms that were read.
    pub(super) queued: u64,
    /// Up to here records have outlasted the partition's floor; so many bytes of them.
    outlasted: Seq,
    outlasting: usize,
}

impl RoomTail {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn first(&self) -> Option<Seq> {
        self.records.front().map(|record| record.seq)
    }

    /// What is here only because it is held, in bytes.
    pub(super) fn kept(&self) -> usize {
        if self.holds > 0 { self.outlasting } else { 0 }
    }

    /// The partition's floor has risen to the record at `seq`, which stays.
    pub(super) fn outlast(&mut self, seq: Seq) {
        self.outlasting += self.find(seq).map_or(0, |record| size(record));
        self.outlasted = seq;
    }

    /// Nothing stays below the partition's floor any more.
    pub(super) fn let_go(&mut self) {
        self.low = None;
        self.outlasting = 0;
        self.outlasted = Seq::ZERO;
    }

    fn position(&self, seq: Seq) -> Option<usize> {
        self.records.binary_search_by_key(&seq, |record| record.seq).ok()
    }

    pub(super) fn find(&self, seq: Seq) -> Option<&Arc<Record>> {
        self.records.get(self.position(seq)?)
    }

    pub(super) fn change_of(&self, message: Seq) -> Option<&Arc<Record>> {
        self.find(*self.changes.get(&message)?)
    }

    pub(super) fn after(&self, seq: Seq) -> impl Iterator<Item = &Arc<Record>> {
        self.records.range(self.records.partition_point(|record| record.seq <= seq)..)
    }

    /// The nearest first.
    pub(super) fn before(&self, seq: Seq) -> impl Iterator<Item = &Arc<Record>> {
        self.records.range(..self.records.partition_point(|record| record.seq < seq)).rev()
    }

    pub(super) fn changes_from(&self, from: Seq) -> Vec<Arc<Record>> {
        let from = self.records.partition_point(|record| record.seq < from);
        let changes = self.records.range(from..).filter(|record| record.draft.target.is_some());
        changes.filter(|record| !record.draft.body.is_empty()).cloned().collect()
    }

    /// Takes the next record, and what it means for those before it. `false` for an edit that says nothing.
    pub(super) fn push(&mut self, record: &Arc<Record>) -> bool {
        self.bytes += size(record);
        self.records.push_back(record.clone());
        let Some(target) = record.draft.target else { return true };
        let message = self.find(target).cloned();
        if record.draft.kind == RecordKind::Edited && message.as_deref().is_some_and(present::is_deleted) {
            self.silence(record.seq);
            return false;
        }
        let earlier = self.change_of(target).cloned();
        let mut folded: Vec<_> = message.iter().chain(&earlier).chain([record]).cloned().collect();
        fold(&mut folded);
        let is_left = |seq| folded.iter().any(|record| record.seq == seq);
        if let Some(earlier) = earlier.filter(|earlier| !is_left(earlier.seq)) {
            self.silence(earlier.seq);
        }
        if !is_left(record.seq) {
            self.silence(record.seq);
            return false;
        }
        self.changes.insert(target, record.seq);
        if let Some(message) = folded.into_iter().find(|record| record.seq == target) {
            self.replace(message);
        }
        true
    }

    /// Takes an edit that says nothing.
    pub(super) fn push_void(&mut self, record: &Arc<Record>) -> bool {
        self.bytes += size(record);
        self.records.push_back(record.clone());
        self.silence(record.seq);
        false
    }

    /// A message whose deletion was not here is deleted: an edit of it that is here came too late.
    fn silence_edit_of(&mut self, message: Seq) {
        let edit = self.change_of(message).filter(|change| change.draft.kind == RecordKind::Edited);
        if let Some(edit) = edit.map(|edit| edit.seq) {
            self.silence(edit);
            self.changes.remove(&message);
        }
    }

    fn silence(&mut self, seq: Seq) {
        let Some(record) = self.find(seq) else { return };
        let draft = Draft { body: Bytes::new(), ..record.draft.clone() };
        self.replace(Arc::new(Record { seq, draft }));
    }

    fn replace(&mut self, record: Arc<Record>) {
        let Some(at) = self.position(record.seq) else { return };
        let (before, after) = (size(&self.records[at]), size(&record));
        self.bytes = self.bytes + after - before;
        if record.seq <= self.outlasted {
            self.outlasting = self.outlasting + after - before;
        }
        self.records[at] = record;
    }

    /// Puts older rows before what is here, and applies to them the changes from `applied` on.
    pub(super) fn extend(&mut self, mut rows: Vec<Arc<Record>>, applied: Seq, low: Seq) {
        let above = self.low.unwrap_or(low);
        rows.retain(|row| row.seq <= above);
        rows.extend(self.changes_from(applied.max(above)));
        fold(&mut rows);
        rows.retain(|row| row.seq <= above);
        for row in &rows {
            // Bodies are looked into only where that matters: there may be thousands of rows.
            let is_deleted = || self.changes.contains_key(&row.seq) && present::is_deleted(row);
            if let Some(message) = deleted_by(row).or_else(|| is_deleted().then_some(row.seq)) {
                self.silence_edit_of(message);
            }
        }
        for row in rows.into_iter().rev() {
            if let Some(target) = row.draft.target {
                self.changes.entry(target).or_insert(row.seq);
            }
            self.bytes += size(&row);
            self.outlasting += size(&row);
            self.outlasted = self.outlasted.max(row.seq);
            self.records.push_front(row);
        }
        self.low = Some(low);
    }

    pub(super) fn drop_up_to(&mut self, seq: Seq) {
        while let Some(first) = self.records.front()
            && first.seq <= seq
        {
            self.bytes -= size(first);
            if let Some(target) = first.draft.target
                && self.changes.get(&target) == Some(&first.seq)
            {
                self.changes.remove(&target);
            }
            self.records.pop_front();
        }
        if self.records.is_empty() {
            self.records = VecDeque::new();
        }
    }
}
