//! Which messages are counted at all: as far back as the lowest of those stands who have the room in their list. Whoever
//! comes and stands lower has what is missing taken from memory, and, below that, read from rows.

use std::{sync::Arc, time::Instant};

use shared::{RoomId, Seq};

use super::{Asked, Inbox, telling::PACE};
use crate::{
    history::{Latest, Recent},
    record::{Record, RecordKind, present},
    shard::inboxes::KEPT,
};

impl Inbox {
    /// Whether [`ask_rows`](Self::ask_rows) has something to ask for.
    pub(in crate::shard) fn wants_rows(&self) -> bool {
        self.reach.is_some() && self.asked.is_none()
    }

    /// What memory has of what is needed: everything after `floor`, messages as they read by now, the last one first.
    pub(in crate::shard) fn recall<'a>(
        &mut self,
        floor: Seq,
        messages: impl Iterator<Item = &'a Arc<Record>>,
        now: Instant,
    ) {
        // Rows on their way are of what is right before that which is here, and the last one may be among them.
        let Some(reach) = self.reach.filter(|_| self.asked.is_none() && self.knows_last) else { return };
        let (from, to) = (reach.max(floor), self.tally.floor());
        if from >= to {
            return;
        }
        let between =
            messages.skip_while(|message| message.seq > to).take_while(|message| message.seq > from);
        let counted = between.filter(|message| !is_deleted(message)).take(KEPT + 1);
        let mut counted: Vec<_> = counted.map(|message| (message.seq, message.draft.user)).collect();
        counted.reverse();
        self.tally.extend(counted, from);
        self.reach = self.reach.filter(|reach| self.tally.lacks(*reach));
        self.let_go_later(now);
        self.ready.extend(&self.fresh);
        self.look_at_everybody(now);
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
        self.let_go_later(now);
        self.ready.extend(&self.fresh);
        self.look_at_everybody(now);
    }

    /// Somebody may have read what nobody else has not. Not at once: whoever comes to read a room goes soon, and a thousand
    /// come at the same time.
    pub(super) fn let_go_later(&mut self, now: Instant) {
        if !self.tally.is_empty() {
            self.let_go_at.get_or_insert(now + PACE);
        }
    }

    /// Lets go of what everybody has read.
    pub(super) fn let_go(&mut self) {
        self.let_go_at = None;
        // What is missing joins what is here. When it is there this is done again.
        if self.reach.is_none() && self.asked.is_none() {
            self.tally.let_go(self.standings.lowest());
        }
    }
}

/// Bodies are parsed only where that could matter: there may be a thousand.
fn is_deleted(message: &Record) -> bool {
    const KEY: &[u8] = br#""deleted""#;
    message.draft.body.windows(KEY.len()).any(|part| part == KEY) && present::is_deleted(message)
}
