//! An open tab.

use std::collections::BTreeMap;

use chat_engine::{record::Record, room::ReadRange};
use shared::{Seq, UserId};

/// What one open tab shows: the count of each message.
pub(crate) struct Tab {
    pub(crate) member: UserId,
    pub(crate) live: bool,
    pub(crate) shown: BTreeMap<Seq, i64>,
    /// What it wants before it is live.
    pub(crate) wants: Wants,
    pub(crate) recovered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    History(usize),
    After(Seq),
}

/// What a message shows before anybody has counted.
pub(crate) const UNCOUNTED: i64 = 0;

/// What a tab showed when its connection was lost.
pub(crate) struct Lost {
    pub(crate) member: UserId,
    pub(crate) shown: BTreeMap<Seq, i64>,
    pub(crate) last: Seq,
}

impl Tab {
    pub(crate) fn read(&mut self, changes: &[ReadRange]) {
        for change in changes {
            for (_, count) in
                self.shown.iter_mut().filter(|(seq, _)| change.from < **seq && **seq <= change.to)
            {
                *count += i64::from(change.by);
            }
        }
    }

    pub(crate) fn show(&mut self, record: &Record, unread: Option<u32>) {
        let repeated = self.shown.insert(record.seq, unread.map_or(UNCOUNTED, i64::from));
        assert!(!matches!(self.wants, Wants::After(_)) || repeated.is_none(), "{} came twice", record.seq);
    }

    pub(crate) fn reset(&mut self, steps: &[(Seq, u32)]) {
        for (seq, count) in &mut self.shown {
            let step = steps.iter().take_while(|(above, _)| above < seq).last();
            *count = i64::from(step.unwrap().1);
        }
    }
}
