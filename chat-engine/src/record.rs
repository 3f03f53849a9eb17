//! A record of the chat log: what happened in a room, as everybody will see it.

pub mod present;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::{RoomId, Seq, UserId};
use stomp::ByteString;
use time::OffsetDateTime;

/// What a record tells. The numbers stand in the database and in Kafka headers: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Somebody said something. The only kind that is counted as unread.
    Message = 0,
    /// Somebody became a member.
    Joined = 1,
    /// Somebody is no longer a member.
    Left = 2,
    /// The author changed a message.
    Edited = 3,
    /// A message was taken back, by its author or by right.
    Deleted = 4,
}

impl RecordKind {
    /// As the database and Kafka have it.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// From the database or Kafka; `None` for a number that a newer version wrote.
    pub const fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Message),
            1 => Some(Self::Joined),
            2 => Some(Self::Left),
            3 => Some(Self::Edited),
            4 => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// A record that is not in the log yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Where it belongs.
    pub room: RoomId,
    /// What it tells.
    pub kind: RecordKind,
    /// Who sent it, joined, left, edited or deleted.
    pub user: UserId,
    /// The message that was edited or deleted; `None` for every other kind.
    pub target: Option<Seq>,
    /// The sender's name for it, the same at every attempt to send it.
    pub client_id: Option<ByteString>,
    /// When the engine took it, in milliseconds since 1970.
    pub sent_at_ms: i64,
    /// The JSON that subscribers get.
    pub body: Bytes,
}

/// A record in the log, and durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub seq: Seq,
    /// What it is.
    pub draft: Draft,
}

/// What a client sends to `/app/chat/{room}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posted<'a> {
    /// The text.
    #[serde(borrow)]
    pub content: std::borrow::Cow<'a, str>,
}

/// The body of a message or a system message. Never a name or a photo: those change, and the log does not.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Body<'a> {
    Message {
        sender: UserId,
        at: i64,
        #[serde(rename = "client-id", skip_serializing_if = "Option::is_none")]
        client_id: Option<&'a str>,
        #[serde(rename = "reply-to", skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
        content: &'a str,
    },
    Joined {
        user: UserId,
        at: i64,
        #[serde(rename = "client-id")]
        client_id: &'a str,
    },
    Left {
        user: UserId,
        at: i64,
        #[serde(rename = "client-id")]
        client_id: &'a str,
    },
    Edited {
        target: Seq,
        user: UserId,
        at: i64,
        #[serde(rename = "client-id", skip_serializing_if = "Option::is_none")]
        client_id: Option<&'a str>,
        content: &'a str,
    },
    Deleted {
        target: Seq,
        user: UserId,
        at: i64,
        #[serde(rename = "client-id", skip_serializing_if = "Option::is_none")]
        client_id: Option<&'a str>,
    },
}

impl Draft {
    /// A message that is being sent now, perhaps as a reply to an earlier one.
    pub fn message(
        room: RoomId,
        sender: UserId,
        client_id: Option<ByteString>,
        reply_to: Option<Seq>,
        content: &str,
    ) -> Self {
        let at = now_ms();
        let body = Body::Message { sender, at, client_id: client_id.as_deref(), reply_to, content }.to_json();
        Self { room, kind: RecordKind::Message, user: sender, target: None, client_id, sent_at_ms: at, body }
    }

    /// The message at `target` says `content` from now on.
    pub fn edited(
        room: RoomId,
        user: UserId,
        target: Seq,
        client_id: Option<ByteString>,
        content: &str,
    ) -> Self {
        let at = now_ms();
        let body = Body::Edited { target, user, at, client_id: client_id.as_deref(), content }.to_json();
        let kind = RecordKind::Edited;
        Self { room, kind, user, target: Some(target), client_id, sent_at_ms: at, body }
    }

    /// The message at `target` is gone from now on.
    pub fn deleted(room: RoomId, user: UserId, target: Seq, client_id: Option<ByteString>) -> Self {
        let at = now_ms();
        let body = Body::Deleted { target, user, at, client_id: client_id.as_deref() }.to_json();
        let kind = RecordKind::Deleted;
        Self { room, kind, user, target: Some(target), client_id, sent_at_ms: at, body }
    }

    /// A member who joined, by the event of that id.
    pub fn joined(room: RoomId, user: UserId, event: i64) -> Self {
        let (at, client_id) = (now_ms(), &*format!("event-{event}"));
        Self::system(room, RecordKind::Joined, user, client_id, at, &Body::Joined { user, at, client_id })
    }

    /// A member who left, by the event of that id.
    pub fn left(room: RoomId, user: UserId, event: i64) -> Self {
        let (at, client_id) = (now_ms(), &*format!("event-{event}"));
        Self::system(room, RecordKind::Left, user, client_id, at, &Body::Left { user, at, client_id })
    }

    fn system(
        room: RoomId,
        kind: RecordKind,
        user: UserId,
        client_id: &str,
        at: i64,
        body: &Body<'_>,
    ) -> Self {
        let client_id = Some(client_id.into());
        Self { room, kind, user, target: None, client_id, sent_at_ms: at, body: body.to_json() }
    }
}

impl Body<'_> {
    fn to_json(&self) -> Bytes {
        // Numbers and texts: nothing in a body can fail to serialise.
        serde_json::to_vec(self).expect("a body is JSON").into()
    }
}

/// The time, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    // Milliseconds since 1970 fit an i64 for 292 million years.
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
