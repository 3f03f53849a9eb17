//! How many have not read a message: whoever went before it came, and nobody who is still there.

use super::{Findings, Room};
use crate::counts::expected;

/// Each client that stayed shows of each message that it shows how many went before.
pub(super) fn as_nobody_else_has_read(room: &Room<'_>, found: &mut Findings) {
    let gone: Vec<_> = room.reports.iter().filter_map(|report| report.went_after).collect();
    for report in room.reports.iter().filter(|report| report.went_after.is_none()) {
        found.whose.clone_from(&report.name);
        for (seq, unread) in &report.counts {
            let expected = expected(*seq, &gone);
            if unread.is_none_or(|unread| usize::try_from(unread) != Ok(expected)) {
                found.add(
                    "everybody shows how many have not read a message",
                    format!("{seq} shows {unread:?} unread, {expected} have not read it"),
                    Some(*seq),
                );
            }
        }
    }
}
