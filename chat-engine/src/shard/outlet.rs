//! Where a subscription's frames go, and how one record becomes everybody's frame.

use std::sync::Arc;

use serde::Serialize;
use shared::{RoomId, Seq};
use stomp::ByteString;

use super::Unavailable;
use crate::{
    connection::{Answerable, Batch, Mark, Message, Outbox, Outlet, Owed, frames},
    record::RecordKind,
    room::{Counted, ReadRange, SubscriberId},
};

/// Which of a room's streams a subscription follows. They carry the same frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// `/chat/{room}`: following is reading.
    Chat,
    /// `/chatalarm/{room}`: following is not reading.
    Alarm,
}

impl Feed {
    /// The destination of `room`'s stream.
    pub fn destination(self, room: RoomId) -> String {
        match self {
            Self::Chat => format!("/chat/{room}"),
            Self::Alarm => format!("/chatalarm/{room}"),
        }
    }
}

/// A subscription's way to its client, and what it follows.
pub struct RoomOutlet {
    /// The way.
    pub outlet: Outlet,
    /// What it follows.
    pub feed: Feed,
    /// Following it is reading: how far its client got is to be known.
    pub reads: bool,
    /// Given when it has been added.
    pub answer: Option<Answer>,
}

impl RoomOutlet {
    /// What a record's frame is marked with.
    pub(super) fn mark(&self, id: SubscriberId, seq: Seq) -> Option<Mark> {
        self.reads.then_some((id, seq))
    }
}

/// What a client waits for: a RECEIPT, if it asked for one, and in any case that its request is done.
pub struct Answer {
    /// The RECEIPT's id.
    pub receipt: Option<ByteString>,
    /// Tells the client why it cannot be done.
    pub refuse: Box<dyn FnOnce(Unavailable) + Send>,
    /// Dropped when everything is queued.
    pub owed: Owed,
}

impl Answer {
    /// Says that the request cannot be done.
    pub(super) fn refuse(self) {
        (self.refuse)(Unavailable);
        drop(self.owed);
    }

    /// Says that the request is done.
    pub(super) fn give(self, outbox: &Arc<Outbox>, batch: &mut Batch) {
        self.give_subscribed(None, outbox, batch);
    }

    /// Says that the subscription is there, and where its member stands.
    pub(super) fn give_subscribed(self, read: Option<Seq>, outbox: &Arc<Outbox>, batch: &mut Batch) {
        if let Some(receipt) = self.receipt {
            batch.push(outbox, frames::subscribed(outbox.version(), &receipt, read));
        }
        drop(self.owed);
    }
}

/// One MESSAGE of a room, for those who follow either of its streams.
pub(super) struct RoomMessage<'a> {
    feeds: [Message<'a>; 2],
}

/// A room's destinations: of its messages and of nothing but them.
pub(super) struct Destinations([String; 2]);

impl Destinations {
    pub(super) fn new(room: RoomId) -> Self {
        Self([Feed::Chat, Feed::Alarm].map(|feed| feed.destination(room)))
    }
}

impl<'a> RoomMessage<'a> {
    pub(super) fn new(
        destinations: &'a Destinations,
        id: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: &'a [u8],
        answerable: Answerable,
        compress_from: usize,
    ) -> Self {
        let message = |destination| Message::text(destination, id, headers, body, compress_from);
        let [chat, alarm] = &destinations.0;
        // Nothing stands on the answers to an alarm, so none is waited for.
        let alarms = match answerable {
            Answerable::Awaited(id) => Answerable::Shown(id),
            other => other,
        };
        Self { feeds: [message(chat).answerable(answerable), message(alarm).answerable(alarms)] }
    }

    pub(super) fn push(&mut self, to: &RoomOutlet, mark: Option<Mark>, batch: &mut Batch) {
        to.outlet.push(&mut self.feeds[to.feed as usize], mark, batch);
    }
}

/// The number of a place, as acknowledgements have it.
pub(super) fn number(seq: Seq) -> u64 {
    seq.get().unsigned_abs()
}

/// What an ACK of a record is to. A page is looked at, it does not come by itself: nothing waits for answers to that; nor
/// to what counts nobody as unread.
pub(super) fn answerable(counted: &Counted, page: bool) -> Answerable {
    let (record, _) = counted;
    let seq = number(record.seq);
    let awaited = record.draft.kind == RecordKind::Message && !page;
    if awaited { Answerable::Awaited(seq) } else { Answerable::Shown(seq) }
}

/// The id, headers and body of a record's MESSAGE.
pub(super) fn with_record_headers<R>(
    counted: &Counted,
    history: bool,
    write: impl FnOnce(&str, &[(&str, &str)], &[u8]) -> R,
) -> R {
    let (record, unread) = counted;
    let (seq, unread) = (record.seq.to_string(), unread.map(|unread| unread.to_string()));
    let mut headers = vec![("seq", &*seq), ("content-type", "application/json")];
    headers.extend(unread.as_deref().map(|unread| ("unread", unread)));
    headers.extend(history.then_some(("history", "true")));
    write(&seq, &headers, &record.draft.body)
}

/// The body of a `recovered` event.
#[derive(Serialize)]
#[serde(tag = "type", rename = "recovered")]
pub(super) struct RecoveredBody {
    pub(super) recovered: bool,
}

/// The body of a `read` event.
#[derive(Serialize)]
#[serde(tag = "type", rename = "read")]
pub(super) struct ReadBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<RangeBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<Vec<(Seq, u32)>>,
}

#[derive(Serialize)]
struct RangeBody {
    from: Seq,
    to: Seq,
    by: i32,
}

impl ReadBody {
    pub(super) fn changes(ranges: &[ReadRange]) -> Self {
        let range = |range: &ReadRange| RangeBody { from: range.from, to: range.to, by: range.by };
        Self { changes: Some(ranges.iter().map(range).collect()), reset: None }
    }

    pub(super) fn reset(steps: Vec<(Seq, u32)>) -> Self {
        Self { changes: None, reset: Some(steps) }
    }
}
