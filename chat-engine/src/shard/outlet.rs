//! Where a subscription's frames go, and how one record becomes everybody's frame.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use shared::{RoomId, Seq};
use stomp::{ByteString, MessageTemplate, Version};

use crate::{
    connection::{Outbox, Outgoing, Owed, frames},
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

/// A subscription's way to its client.
pub struct Outlet {
    /// The connection's queue.
    pub outbox: Arc<Outbox>,
    /// The client's name for the subscription.
    pub subscription: ByteString,
    /// What it follows.
    pub feed: Feed,
    /// Given when it has been added.
    pub answer: Option<Answer>,
}

/// What a client waits for: a RECEIPT, if it asked for one, and in any case that its request is done.
#[derive(Debug)]
pub struct Answer {
    /// The RECEIPT's id.
    pub receipt: Option<ByteString>,
    /// Dropped when everything is queued.
    pub owed: Owed,
}

impl Answer {
    /// Says that the request is done.
    pub(super) fn give(self, outbox: &Outbox) {
        if let Some(receipt) = self.receipt {
            outbox.push(frames::receipt(&receipt, None).into());
        }
        drop(self.owed);
    }
}

impl Outlet {
    pub(super) fn push(&self, frame: Bytes, mark: Option<(SubscriberId, Seq)>) {
        self.outbox.push(Outgoing { frame, mark });
    }
}

/// One MESSAGE in the forms that a room's subscribers need: written once for each feed and subscription id,
/// of which a room of a thousand people has one or two.
pub(super) struct Variants<'a> {
    room: RoomId,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    templates: [Option<MessageTemplate>; 2],
    frames: Vec<(Feed, ByteString, Bytes)>,
}

impl<'a> Variants<'a> {
    pub(super) fn new(room: RoomId, headers: &'a [(&'a str, &'a str)], body: &'a [u8]) -> Self {
        Self { room, headers, body, templates: [None, None], frames: Vec::new() }
    }

    pub(super) fn frame(&mut self, outlet: &Outlet) -> Bytes {
        let same =
            |(feed, id, _): &&(Feed, ByteString, Bytes)| *feed == outlet.feed && *id == outlet.subscription;
        if let Some((.., frame)) = self.frames.iter().find(same) {
            return frame.clone();
        }
        let (room, headers, body) = (self.room, self.headers, self.body);
        let template = self.templates[outlet.feed as usize].get_or_insert_with(|| {
            let destination = outlet.feed.destination(room);
            let headers = [("destination", &*destination)].into_iter().chain(headers.iter().copied());
            MessageTemplate::new(Version::V12, headers, body)
        });
        let frame = template.frame(&outlet.subscription);
        // Ids that hardly repeat are not worth remembering.
        if self.frames.len() < 8 {
            self.frames.push((outlet.feed, outlet.subscription.clone(), frame.clone()));
        }
        frame
    }
}

/// The headers of a record's MESSAGE, and its body.
pub(super) fn with_record_headers<R>(
    counted: &Counted,
    history: bool,
    write: impl FnOnce(&[(&str, &str)], &[u8]) -> R,
) -> R {
    let (record, unread) = counted;
    let (seq, unread) = (record.seq.to_string(), unread.map(|unread| unread.to_string()));
    let mut headers = vec![("message-id", &*seq), ("seq", &*seq), ("content-type", "application/json")];
    headers.extend(unread.as_deref().map(|unread| ("unread", unread)));
    headers.extend(history.then_some(("history", "true")));
    write(&headers, &record.draft.body)
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
