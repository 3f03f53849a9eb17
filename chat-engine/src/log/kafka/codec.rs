//! A record as a Kafka message: the body as its value, what a node needs without parsing it as headers.

use bytes::Bytes;
use rdkafka::{
    Message,
    message::{Header, Headers as _, OwnedHeaders},
};
use shared::{RoomId, UserId};
use stomp::ByteString;

use crate::{
    log::epoch::Epoch,
    record::{Draft, Record, RecordKind},
};

const KIND: &str = "kind";
const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const TARGET: &str = "target";

/// A message that is no record of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition}, offset {offset}: {reason}")]
pub struct Poison {
    /// Where it lies.
    pub partition: i32,
    /// Where it lies.
    pub offset: i64,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The headers of a record.
pub(crate) fn headers(draft: &Draft) -> OwnedHeaders {
    let (kind, user) = (draft.kind.code().to_string(), draft.user.to_string());
    let headers = OwnedHeaders::new_with_capacity(4)
        .insert(Header { key: KIND, value: Some(&kind) })
        .insert(Header { key: USER, value: Some(&user) });
    let headers = match draft.target {
        Some(target) => headers.insert(Header { key: TARGET, value: Some(&target.to_string()) }),
        None => headers,
    };
    match &draft.client_id {
        Some(client_id) => headers.insert(Header { key: CLIENT_ID, value: Some(&**client_id) }),
        None => headers,
    }
}

/// The record that a message carries.
pub fn decode(epoch: Epoch, message: &impl Message) -> Result<Record, Poison> {
    let (partition, offset) = (message.partition(), message.offset());
    let poison = |reason| Poison { partition, offset, reason };
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let header = |name| {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == name)?;
        found.value.and_then(text)
    };
    let room: RoomId = message
        .key()
        .and_then(text)
        .and_then(|key| key.parse().ok())
        .ok_or_else(|| poison("its key is not a room"))?;
    let kind = header(KIND)
        .and_then(|kind| RecordKind::from_code(kind.parse().ok()?))
        .ok_or_else(|| poison("its kind is unknown"))?;
    let user: UserId =
        header(USER).and_then(|user| user.parse().ok()).ok_or_else(|| poison("it names no user"))?;
    let target = header(TARGET).and_then(|target| target.parse().ok());
    if matches!(kind, RecordKind::Edited | RecordKind::Deleted) && target.is_none() {
        return Err(poison("it names no message"));
    }
    let body = message.payload().ok_or_else(|| poison("it has no body"))?;
    text(body).ok_or_else(|| poison("its body is not UTF-8"))?;
    // PostgreSQL holds it in no text. JSON has it escaped.
    if body.contains(&0) {
        return Err(poison("its body has a NUL"));
    }
    let draft = Draft {
        room,
        kind,
        user,
        target,
        client_id: header(CLIENT_ID).map(ByteString::from),
        sent_at_ms: message.timestamp().to_millis().unwrap_or(0),
        body: Bytes::copy_from_slice(body),
    };
    // Offsets are not negative.
    Ok(Record { seq: epoch.seq(offset.unsigned_abs()), draft })
}
