//! What the lines of a list of rooms say.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use shared::{RoomId, Seq};

use super::inbox::State;
use crate::{connection::CloseReason, record::Record};

/// Characters of a message that a list shows at most: a thousand rooms must fit where one message does.
const SHOWN: usize = 200;

#[derive(Serialize)]
#[serde(tag = "type", rename = "room")]
struct RoomLine<'a> {
    room: RoomId,
    unread: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    read: Option<Seq>,
    last: Option<LastMessage<'a>>,
}

#[derive(Clone, Copy, Serialize)]
struct LastMessage<'a> {
    seq: Seq,
    body: &'a RawValue,
}

/// A room that is none of theirs any more.
#[derive(Serialize)]
#[serde(tag = "type", rename = "gone")]
pub(in crate::shard) struct GoneLine {
    room: RoomId,
    reason: &'static str,
}

impl GoneLine {
    pub(in crate::shard) fn new(room: RoomId, reason: CloseReason) -> Self {
        let reason = match reason {
            CloseReason::Banned => "banned",
            CloseReason::RoomClosed => "room closed",
            _ => "not a member",
        };
        Self { room, reason }
    }

    pub(in crate::shard) fn to_json(&self) -> Vec<u8> {
        // A number and a word: nothing in it can fail to serialise.
        serde_json::to_vec(self).expect("a line is JSON")
    }
}

/// Lines about one room, which share the last message.
pub(in crate::shard) struct Lines {
    room: RoomId,
    last: Option<(Seq, Box<RawValue>)>,
}

impl Lines {
    pub(in crate::shard) fn new(room: RoomId, last: Option<&Arc<Record>>) -> Self {
        let last = last.and_then(|record| Some((record.seq, shortened(&record.draft.body)?)));
        Self { room, last }
    }

    pub(in crate::shard) fn write(&self, state: State) -> Vec<u8> {
        let line = RoomLine {
            room: self.room,
            unread: state.unread.map(|unread| unread.count),
            more: state.unread.is_some_and(|unread| unread.more),
            read: state.read,
            last: self.last.as_ref().map(|(seq, body)| LastMessage { seq: *seq, body }),
        };
        // Numbers, and what is JSON already.
        serde_json::to_vec(&line).expect("a line is JSON")
    }
}

/// A message's body with no more of its content than a list shows; `None` for what is no JSON.
fn shortened(body: &[u8]) -> Option<Box<RawValue>> {
    let whole: Box<RawValue> = serde_json::from_slice(body).ok()?;
    if body.len() <= SHOWN {
        return Some(whole);
    }
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    let content = object.get("content").and_then(serde_json::Value::as_str).unwrap_or_default();
    let Some((end, _)) = content.char_indices().nth(SHOWN) else { return Some(whole) };
    let start = content[..end].to_owned();
    object.insert("content".to_owned(), start.into());
    object.insert("cut".to_owned(), true.into());
    serde_json::value::to_raw_value(&object).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::Draft;

    #[test]
    fn a_long_message_is_cut_and_a_short_one_is_as_it_is() {
        let (room, anna) = (7.try_into().unwrap(), 1.try_into().unwrap());
        let line = |content: &str| {
            let draft = Draft::message(room, anna, None, None, content);
            let record = Arc::new(Record { seq: Seq::from_raw(5).unwrap(), draft });
            let lines = Lines::new(room, Some(&record));
            let line = lines.write(State::default());
            serde_json::from_slice::<Value>(&line).unwrap()["last"].clone()
        };
        assert_eq!(line("안녕")["seq"], 5);
        assert_eq!(line("안녕")["body"]["content"], "안녕");
        assert_eq!(line("안녕")["body"]["cut"], Value::Null);
        // More bytes than characters.
        let full = "녕".repeat(SHOWN);
        assert_eq!(line(&full)["body"]["content"], json!(full));
        let long = line(&format!("{full}!"));
        assert_eq!((&long["body"]["content"], &long["body"]["cut"]), (&json!(full), &json!(true)));
        assert_eq!(long["body"]["sender"], 1);
    }
}
