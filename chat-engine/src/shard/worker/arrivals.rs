//! Those who arrive in a room: what they have missed, or older records, comes before they are added.
//!
//! All of it is served from memory. Where that does not reach back far enough, rows are read and put before it: one
//! reading for each room at a time, the next for all who have come meanwhile, so a thousand who come back at once cost
//! one or two.

use std::time::{Duration, Instant};

use shared::{RoomId, Seq};

use super::{Fetched, FetchedContent, Worker};
use crate::{
    connection::CloseReason,
    history::Span,
    room::{Past, SubscriberId},
    shard::{
        Input, RoomOutlet, Unavailable, Wanted,
        page::{Place, fit},
        reader::{Rows, next},
        tail::Hold,
    },
};

/// How long who has seen more elsewhere waits for this node to have seen it, too.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(5);

/// A subscriber that the room has not added.
pub(super) struct Arriving {
    pub(super) outlet: RoomOutlet,
    /// What it waits for, if it wants anything first.
    wanted: Option<Wanted>,
    /// When the node must have seen what the subscriber has.
    until: Instant,
    /// What the subscriber says it has seen, the log does not have.
    beyond: bool,
}

/// What is to be done for somebody who arrives.
enum Verdict {
    /// It wants nothing.
    Nothing,
    Ready(Past),
    /// Memory must reach back by so many records.
    Reach(usize),
    /// The node must see this place first.
    Behind(Seq, Instant),
    /// It has not seen it for long: the log is asked whether there is such a place.
    Unclear(Seq),
}

impl Arriving {
    pub(super) fn new(outlet: RoomOutlet, wanted: Option<Wanted>, now: Instant) -> Self {
        Self { outlet, wanted, until: now + CATCH_UP_PATIENCE, beyond: false }
    }
}

impl Worker {
    /// Goes on with everybody who arrives in a room, or with this one of them.
    pub(super) fn advance(&mut self, room: RoomId, only: Option<SubscriberId>) {
        let Some(open) = self.rooms.get(&room) else { return };
        let (now, is_ready) = (Instant::now(), open.room.is_ready());
        let (mut pasts, mut reach, mut unclear) = (Vec::new(), 0, false);
        let (mut awaited, mut timer) = (open.awaited.filter(|_| only.is_some()), None);
        for (id, arriving) in &open.arriving {
            if only.is_some_and(|only| only != *id) {
                continue;
            }
            match self.judge(room, arriving, now) {
                Verdict::Ready(past) if is_ready => pasts.push((*id, past)),
                // What is missing meanwhile is in memory by then.
                Verdict::Nothing | Verdict::Ready(_) => {}
                Verdict::Reach(records) => reach = reach.max(records),
                Verdict::Behind(seq, until) => {
                    awaited = Some(awaited.map_or(seq, |other| other.min(seq)));
                    timer = Some(timer.map_or(until, |other: Instant| other.min(until)));
                }
                Verdict::Unclear(seq) => {
                    awaited = Some(awaited.map_or(seq, |other| other.min(seq)));
                    unclear = true;
                }
            }
        }
        if let Some(open) = self.rooms.get_mut(&room) {
            open.awaited = awaited;
        }
        if let Some(until) = timer {
            self.timers.set(room, until);
        }
        if !pasts.is_empty() {
            self.with_room(room, |room, out| room.arrive(pasts, now, out));
        }
        if reach > 0 && self.reaching.insert(room) {
            self.reach(room, reach);
        }
        if unclear && self.asking.insert(room) {
            self.ask_log(room);
        }
    }

    fn judge(&self, room: RoomId, arriving: &Arriving, now: Instant) -> Verdict {
        let Arriving { wanted: Some(wanted), until, .. } = *arriving else { return Verdict::Nothing };
        let Some(after) = wanted.after else {
            return self.recent(room, wanted.history, Past::History);
        };
        // A log that is still to come has no records.
        let is_known = after.epoch() <= self.deps.epoch.number;
        if is_known && after > self.head(room) && !arriving.beyond {
            return if now < until { Verdict::Behind(after, until) } else { Verdict::Unclear(after) };
        }
        let (floor, most) = (self.tail.floor(room), usize::from(self.deps.tuning.max_replay));
        if is_known && after <= self.head(room) {
            let missed = self.tail.missed(room, after.max(floor), most + 1);
            if missed.len() <= most && after < floor {
                return Verdict::Reach(most + 1 - missed.len());
            }
            let bytes: usize = missed.iter().map(|record| record.draft.body.len()).sum();
            if missed.len() <= most && bytes <= self.deps.tuning.max_sent {
                return Verdict::Ready(Past::Missed(missed));
            }
        }
        self.recent(room, wanted.history, Past::Lost)
    }

    fn recent(
        &self,
        room: RoomId,
        count: u16,
        past: fn(Vec<std::sync::Arc<crate::record::Record>>) -> Past,
    ) -> Verdict {
        let end = Seq::from_raw(i64::MAX).unwrap_or_default();
        let count = usize::from(count);
        let mut page = self.tail.shown_before(room, end, count);
        if page.len() < count && self.tail.floor(room) > Seq::ZERO {
            return Verdict::Reach(count - page.len());
        }
        fit(&mut page, Place::Before(end), self.deps.tuning.max_sent);
        Verdict::Ready(past(page))
    }

    /// The last place that this node knows of in a room.
    fn head(&self, room: RoomId) -> Seq {
        let position = self.positions[self.partition(room)];
        self.rooms.get(&room).map_or(position, |open| open.room.head().max(position))
    }

    /// Reads the rows below the memory of a room.
    fn reach(&mut self, room: RoomId, records: usize) {
        let hold = self.tail.hold(room);
        let floor = hold.floor;
        // A replay and a page are at most 10,000.
        let limit = u16::try_from(records).unwrap_or(u16::MAX);
        let (reader, answers) = (self.deps.reader.clone(), self.deps.answers.clone());
        tokio::spawn(async move {
            let rows = reader.rows(room, Span::Before(next(floor)), limit, true, floor).await;
            let content = FetchedContent::Older(hold, rows);
            let _ = answers.send(Input::Answer(Fetched { room, content }));
        });
    }

    /// The rows below the memory of a room have come.
    pub(super) fn older(&mut self, room: RoomId, hold: &Hold, rows: Result<Rows, Unavailable>) {
        self.reaching.remove(&room);
        match rows {
            Ok(Rows { records, applied, more }) => {
                let first =
                    records.first().filter(|_| more).and_then(|first| Seq::from_raw(first.seq.get() - 1));
                self.tail.extend(hold, records, applied, first.unwrap_or_default());
                self.advance(room, None);
            }
            Err(Unavailable) => self.refuse_arrivals(room),
        }
    }

    /// Asks the log how far it reaches.
    fn ask_log(&self, room: RoomId) {
        let (reader, answers) = (self.deps.reader.clone(), self.deps.answers.clone());
        tokio::spawn(async move {
            let content = FetchedContent::End(reader.end(room).await);
            let _ = answers.send(Input::Answer(Fetched { room, content }));
        });
    }

    /// The log reaches so far, if that is known. Who has seen what it has, and this node has not, is better served by
    /// another: what comes here would be older than what it shows. What the log does not have nobody has seen.
    pub(super) fn log_ends(&mut self, room: RoomId, end: Result<Option<Seq>, Unavailable>) {
        self.asking.remove(&room);
        let (now, head) = (Instant::now(), self.head(room));
        let Some(open) = self.rooms.get_mut(&room) else { return };
        let mut behind = Vec::new();
        for (id, arriving) in &mut open.arriving {
            let after = arriving.wanted.and_then(|wanted| wanted.after);
            let Some(after) = after.filter(|after| *after > head && now >= arriving.until) else { continue };
            arriving.beyond = end.is_ok_and(|end| end.is_none_or(|end| after >= end));
            if !arriving.beyond {
                behind.push(*id);
            }
        }
        for id in behind {
            self.take_out(room, id, CloseReason::Behind);
        }
        self.advance(room, None);
    }

    /// Whoever waits for what cannot be read is told to try again.
    fn refuse_arrivals(&mut self, room: RoomId) {
        let Some(open) = self.rooms.get(&room) else { return };
        let now = Instant::now();
        let waits = |arriving: &Arriving| matches!(self.judge(room, arriving, now), Verdict::Reach(_));
        let refused: Vec<_> =
            open.arriving.iter().filter(|(_, arriving)| waits(arriving)).map(|(id, _)| *id).collect();
        for id in refused {
            self.take_out(room, id, CloseReason::HistoryUnavailable);
        }
    }
}
