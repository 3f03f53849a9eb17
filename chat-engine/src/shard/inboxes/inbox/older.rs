//! Messages that memory does not have, of which somebody has to be told how many they are.

use std::{sync::Arc, time::Instant};

use shared::RoomId;

use super::{Asked, Inbox};
use crate::{
    history::{Latest, Recent},
    record::{Record, RecordKind},
};

impl Inbox {
    /// Whether [`ask_rows`](Self::ask_rows) has something to ask for.
    pub(in crate::shard) fn wants_rows(&self) -> bool {
        self.reach.is_some() && self.asked.is_none()
    }

    /// Which rows are needed: as far back as the lowest stands who is known to stand below what is here, and no further.
    /// They are being read from here on, until [`rows`](Self::rows). `changes`: those in memory, which the rows may lack.
    pub(in crate::shard) fn ask_rows(&mut self, room: RoomId, changes: Vec<Arc<Record>>) -> Option<Recent> {
        let since = self.reach.take()?;
        self.asked = Some(Asked { since, changes });
        Some(Recent { room, since, up_to: self.tally.floor() })
    }

    /// The rows that were asked for; `None` where they cannot be read at the moment.
    pub(in crate::shard) fn rows(&mut self, rows: Option<Latest>, now: Instant) {
        let Some(Asked { since, changes }) = self.asked.take() else { return };
        let Some(Latest { last, counted, .. }) = rows else {
            self.reach = Some(self.reach.map_or(since, |reach| reach.min(since)));
            return;
        };
        self.tally.extend(counted, since);
        let deletions = changes.iter().filter(|change| change.draft.kind == RecordKind::Deleted);
        deletions.filter_map(|change| change.draft.target).for_each(|target| self.tally.remove(target));
        if !self.knows_last {
            self.knows_last = true;
            self.last = last.map(Arc::new);
            self.last_number += 1;
            self.change_last(&changes);
        }
        self.ready.extend(&self.fresh);
        self.look_at_everybody(now);
    }
}
