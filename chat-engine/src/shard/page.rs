//! A page of a room's history: which records are asked for, and how rows and memory make it up.

use std::sync::Arc;

use shared::{RoomId, Seq};

use super::{
    reader::{Rows, next},
    tail::Tail,
};
use crate::{
    history::Span,
    record::{Record, present::fold},
};

/// Which records a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The last ones before a place.
    Before(Seq),
    /// The first ones after it.
    After(Seq),
    /// The one at this place, and those on both sides of it.
    Around(Seq),
}

/// Records of a room as they read by now: messages, and who joined and left.
#[derive(Debug, Default)]
pub struct MessagePage {
    /// In order.
    pub records: Vec<Arc<Record>>,
    /// There are older ones.
    pub older: bool,
    /// There are newer ones.
    pub newer: bool,
}

/// A page as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub(super) place: Place,
    pub(super) limit: u16,
    /// Whether it matters that there are more on either side.
    pub(super) looks_further: bool,
}

/// So many records on one side of a place.
type Side = (Seq, usize);

/// What is to be read for one side.
pub(super) type Missing = Option<(Span, u16)>;

impl Sought {
    /// How many on either side of the place, without a look further.
    fn shares(self) -> (usize, usize) {
        let limit = usize::from(self.limit);
        match self.place {
            Place::Before(_) => (limit, 0),
            Place::After(_) => (0, limit),
            Place::Around(_) => (limit - limit / 2, limit / 2),
        }
    }

    fn sides(self) -> (Side, Side) {
        let (before, after) = self.shares();
        let further = usize::from(self.looks_further);
        let (below, above) = match self.place {
            Place::Before(seq) => (seq, previous(seq)),
            Place::After(seq) | Place::Around(seq) => (next(seq), seq),
        };
        ((below, before + further), (above, after + further))
    }

    /// What memory lacks for it.
    pub(super) fn missing(self, tail: &Tail, room: RoomId) -> (Missing, Missing) {
        let floor = tail.floor(room);
        let ((below, before), (above, after)) = self.sides();
        // At most one more than a page, which fits.
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let here = if below > floor { tail.shown_before(room, below, before).len() } else { 0 };
        let older = (here < before && floor > Seq::ZERO)
            .then(|| (Span::Before(below.min(next(floor))), count(before - here)));
        let newer = (after > 0 && above < floor).then(|| (Span::After(above), count(after)));
        (older, newer)
    }

    /// The page, of the rows that were [`missing`](Self::missing) and what is in memory. `floor`: where memory began when
    /// the rows were asked for. It may reach further back by now, for somebody else, and would repeat them.
    pub(super) fn complete(
        self,
        tail: &Tail,
        room: RoomId,
        older: Option<Rows>,
        newer: Option<Rows>,
        floor: Seq,
    ) -> MessagePage {
        let ((below, before), (above, after)) = self.sides();
        let from = if older.is_some() { floor } else { Seq::ZERO };
        let mut first = older.map(|rows| present(tail, room, rows).0).unwrap_or_default();
        first.extend(tail.shown_before(room, below, before).into_iter().filter(|record| record.seq > from));
        first.drain(..first.len().saturating_sub(before));

        let (mut last, more) = newer.map(|rows| present(tail, room, rows)).unwrap_or_default();
        if !more {
            last.extend(tail.shown_after(room, above.max(floor), after));
        }
        last.truncate(after);

        let (before, after) = self.shares();
        let (older, newer) = (first.len() > before, last.len() > after);
        first.drain(..first.len().saturating_sub(before));
        last.truncate(after);
        first.append(&mut last);
        MessagePage { records: first, older, newer }
    }
}

/// Rows as they read by now, and whether there may be more of them.
fn present(tail: &Tail, room: RoomId, rows: Rows) -> (Vec<Arc<Record>>, bool) {
    let Rows { mut records, applied, more } = rows;
    records.extend(tail.changes_from(room, applied));
    fold(&mut records);
    records.retain(|record| record.draft.target.is_none());
    (records, more)
}

/// Leaves so many bytes of bodies, but one record at least: those nearest to where the page begins.
pub(super) fn fit(page: &mut Vec<Arc<Record>>, place: Place, bytes: usize) {
    let fits = |records: &mut dyn Iterator<Item = &Arc<Record>>| {
        let mut sum = 0;
        let within = records.take_while(|record| {
            sum += record.draft.body.len();
            sum <= bytes
        });
        within.count().max(1)
    };
    match place {
        Place::Before(_) => {
            let keep = fits(&mut page.iter().rev());
            page.drain(..page.len().saturating_sub(keep));
        }
        Place::After(_) => {
            let keep = fits(&mut page.iter());
            page.truncate(keep);
        }
        Place::Around(seq) => {
            let middle = page.partition_point(|record| record.seq < seq);
            let (first, mut last) = (page.drain(..middle).collect::<Vec<_>>(), std::mem::take(page));
            let (mut first, half) = (first, bytes / 2);
            fit(&mut first, Place::Before(seq), half);
            fit(&mut last, Place::After(seq), half);
            *page = first;
            page.append(&mut last);
        }
    }
}

/// The place before this one.
fn previous(seq: Seq) -> Seq {
    Seq::from_raw(seq.get() - 1).unwrap_or_default()
}
