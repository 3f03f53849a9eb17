//! Changes of counts that are collected before they are told.
//!
//! Whoever comes meanwhile is told of them with everybody else, and so is sent counts without them. Telling everybody first
//! would cost a frame for each who is there whenever somebody comes: in a room where people come and go, the square of them.

use std::collections::BTreeMap;

use shared::Seq;

use super::ReadRange;

/// What a count was before these changes.
pub(super) fn before(pending: &[ReadRange], seq: Seq, unread: u32) -> u32 {
    let told_later = pending.iter().filter(|range| range.from < seq && seq <= range.to).map(|range| range.by);
    unread.saturating_add_signed(-told_later.sum::<i32>())
}

/// What the counts of all messages, as steps, were before these changes.
pub(super) fn steps_before(pending: &[ReadRange], steps: Vec<(Seq, u32)>) -> Vec<(Seq, u32)> {
    if pending.is_empty() {
        return steps;
    }
    // By how much the count above a seq differs from that below.
    let mut rises: BTreeMap<Seq, i64> = BTreeMap::new();
    let mut below = 0;
    for (above, unread) in steps {
        *rises.entry(above).or_default() += i64::from(unread) - below;
        below = i64::from(unread);
    }
    for range in pending {
        *rises.entry(range.from).or_default() -= i64::from(range.by);
        *rises.entry(range.to).or_default() += i64::from(range.by);
    }
    let mut unread = 0;
    let step = |(above, rise)| {
        unread += rise;
        // What was counted once is not less than none.
        (above, u32::try_from(unread).unwrap_or_default())
    };
    rises.into_iter().map(step).collect()
}

/// Adds up ranges with the same ends; what cancels out is not told. What adds comes first: who applies one range after the
/// other is never below zero in between.
pub(super) fn merge(mut ranges: Vec<ReadRange>) -> Vec<ReadRange> {
    ranges.sort_unstable_by_key(|range| (range.from, range.to));
    ranges.dedup_by(|next, kept| {
        let same = (next.from, next.to) == (kept.from, kept.to);
        if same {
            kept.by += next.by;
        }
        same
    });
    ranges.retain(|range| range.by != 0);
    ranges.sort_by_key(|range| range.by < 0);
    ranges
}
