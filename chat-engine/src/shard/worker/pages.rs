//! Pages of history, and single messages that somebody wants to change or to answer.

use std::time::{Duration, Instant};

use shared::{RoomId, Seq};
use tokio::sync::oneshot;

use super::{Fetched, FetchedContent, Worker};
use crate::{
    history::Found,
    record::{RecordKind, present},
    room::SubscriberId,
    shard::{
        Answer, Input, MessagePage, Target, Unavailable,
        page::{Place, Sought, fit},
        reader::Rows,
    },
};

/// How long a message that was seen elsewhere is waited for.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(5);

/// A page that somebody waits for.
pub(super) struct Asked {
    sought: Sought,
    asker: Asker,
}

enum Asker {
    /// Dropped with the last of these, the sender lets its connection read on: a client has one page at a time.
    Subscriber(SubscriberId, Answer, oneshot::Sender<()>),
    Stranger(oneshot::Sender<Result<MessagePage, Unavailable>>),
}

/// A message that is asked about.
pub(super) struct Lookup {
    pub(super) room: RoomId,
    pub(super) seq: Seq,
    pub(super) until: Instant,
    pub(super) reply: oneshot::Sender<Result<Target, Unavailable>>,
}

impl Asked {
    pub(super) fn by_subscriber(
        id: SubscriberId,
        place: Place,
        limit: u16,
        answer: Answer,
        taken: oneshot::Sender<()>,
    ) -> Self {
        let sought = Sought { place, limit, looks_further: false };
        Self { sought, asker: Asker::Subscriber(id, answer, taken) }
    }

    pub(super) fn by_stranger(
        place: Place,
        limit: u16,
        reply: oneshot::Sender<Result<MessagePage, Unavailable>>,
    ) -> Self {
        let sought = Sought { place, limit, looks_further: true };
        Self { sought, asker: Asker::Stranger(reply) }
    }

    pub(super) fn refuse(self) {
        match self.asker {
            Asker::Subscriber(_, answer, _) => answer.refuse(),
            // Who does not wait any more needs no answer, here and below.
            Asker::Stranger(reply) => drop(reply.send(Err(Unavailable))),
        }
    }
}

impl Worker {
    /// Reads what memory lacks for a page.
    pub(super) fn read_page(&mut self, room: RoomId, asked: Asked) {
        let (older, newer) = asked.sought.missing(&self.tail, room);
        if older.is_none() && newer.is_none() {
            self.page(room, asked, Ok((None, None)), self.tail.floor(room));
            return;
        }
        let hold = self.tail.hold(room);
        let floor = hold.floor;
        let (reader, answers) = (self.deps.reader.clone(), self.deps.answers.clone());
        tokio::spawn(async move {
            let read = async |missing| match missing {
                Some((span, limit)) => reader.rows(room, span, limit, false, floor).await.map(Some),
                None => Ok(None),
            };
            let rows = async { Ok((read(older).await?, read(newer).await?)) };
            let content = FetchedContent::Page(asked, hold, rows.await);
            let _ = answers.send(Input::Answer(Fetched { room, content }));
        });
    }

    /// What memory lacked for a page has come.
    pub(super) fn page(
        &mut self,
        room: RoomId,
        asked: Asked,
        rows: Result<(Option<Rows>, Option<Rows>), Unavailable>,
        floor: Seq,
    ) {
        let Ok((older, newer)) = rows else {
            asked.refuse();
            return;
        };
        let mut page = asked.sought.complete(&self.tail, room, older, newer, floor);
        match asked.asker {
            Asker::Stranger(reply) => drop(reply.send(Ok(page))),
            Asker::Subscriber(id, answer, _taken) => {
                // Who has left the room meanwhile gets no page, and the RECEIPT all the same.
                fit(&mut page.records, asked.sought.place, self.deps.tuning.max_sent);
                self.with_room(room, |room, out| room.history(id, &page.records, Instant::now(), out));
                let outbox = answer.owed.outbox().clone();
                answer.give(&outbox, &mut self.batch);
            }
        }
    }

    /// Answers what has become of a message.
    pub(super) fn find(
        &mut self,
        room: RoomId,
        seq: Seq,
        reply: oneshot::Sender<Result<Target, Unavailable>>,
    ) {
        let until = Instant::now() + CATCH_UP_PATIENCE;
        let lookup = Lookup { room, seq, until, reply };
        if seq.epoch() <= self.deps.epoch.number && seq > self.positions[self.partition(room)] {
            // Seen on another node: it is on its way here.
            self.timers.set(room, until);
            self.lookups.push(lookup);
            return;
        }
        self.answer_lookup(lookup);
    }

    /// Answers those who asked about messages that have come, or that do not come.
    pub(super) fn look_up(&mut self, room: RoomId, now: Instant) {
        let position = self.positions[self.partition(room)];
        let is_due =
            |lookup: &mut Lookup| lookup.room == room && (lookup.seq <= position || lookup.until <= now);
        let due: Vec<_> = self.lookups.extract_if(.., is_due).collect();
        for lookup in due {
            self.answer_lookup(lookup);
        }
    }

    fn answer_lookup(&mut self, lookup: Lookup) {
        let Lookup { room, seq, .. } = lookup;
        if seq > self.tail.floor(room) {
            let found = self.tail.find(room, seq).filter(|record| record.draft.kind == RecordKind::Message);
            let found = found
                .map(|record| Found { record: (**record).clone(), deleted: present::is_deleted(record) });
            let change = self.tail.change_of(room, seq).cloned();
            let _ = lookup.reply.send(Ok(Target { found, change }));
            return;
        }
        let hold = self.tail.hold(room);
        let (reader, answers) = (self.deps.reader.clone(), self.deps.answers.clone());
        tokio::spawn(async move {
            let content = FetchedContent::Found(lookup, hold, reader.find(room, seq).await);
            let _ = answers.send(Input::Answer(Fetched { room, content }));
        });
    }
}
