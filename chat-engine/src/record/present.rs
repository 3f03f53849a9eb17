//! What a message says by now: its own body, or the one that edits and a deletion have left of it.
//!
//! The same rules for rows (the writer of the history) and for records in memory (what a node adds to them): a
//! deletion is final, otherwise the last edit counts, and what earlier edits said is gone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::{Map, Value};
use shared::{RoomId, Seq};

use super::{Draft, Record, RecordKind};

/// Gives each message of `records`, which are in order, its present body as far as the edits and deletions among
/// them say it, and leaves out the `edited` records that a later change has overtaken or that came after the
/// deletion. The changes themselves stay.
///
/// A message that comes with a present body already (a row) must come without the changes that made it: an edit that
/// is applied again would bring back what a later one replaced.
pub fn fold(records: &mut Vec<Arc<Record>>) {
    if records.iter().all(|record| record.draft.target.is_none()) {
        return;
    }
    let changes = Changes::of(records);
    records.retain(|record| !changes.is_void(record));
    for record in records {
        let Some(change) = changes.of_message(record) else { continue };
        if let Some(body) = body_after(&record.draft, &change.draft) {
            let draft = Draft { body, ..record.draft.clone() };
            *record = Arc::new(Record { seq: record.seq, draft });
        }
    }
}

/// The changes that count among some records: for each message the deletion, else the last edit.
#[derive(Debug, Default)]
pub struct Changes {
    counting: HashMap<(RoomId, Seq), Arc<Record>>,
    /// `edited` records that say nothing any more.
    void: HashSet<(RoomId, Seq)>,
}

impl Changes {
    /// Of records in order.
    pub fn of(records: &[Arc<Record>]) -> Self {
        let mut changes = Self::default();
        for record in records {
            let Some(target) = record.draft.target else { continue };
            let room = record.draft.room;
            let earlier = changes.counting.get(&(room, target));
            if earlier.is_some_and(|earlier| earlier.draft.kind == RecordKind::Deleted) {
                // A second deletion has nothing to hide.
                if record.draft.kind == RecordKind::Edited {
                    changes.void.insert((room, record.seq));
                }
                continue;
            }
            if let Some(earlier) = changes.counting.insert((room, target), record.clone()) {
                changes.void.insert((room, earlier.seq));
            }
        }
        changes
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.counting.is_empty()
    }

    /// What has become of a message, if something has.
    pub fn of_message(&self, message: &Record) -> Option<&Arc<Record>> {
        if message.draft.kind != RecordKind::Message || self.counting.is_empty() {
            return None;
        }
        self.counting.get(&(message.draft.room, message.seq))
    }

    /// Whether this is an `edited` record whose content nobody is to see any more.
    pub fn is_void(&self, record: &Record) -> bool {
        !self.void.is_empty() && self.void.contains(&(record.draft.room, record.seq))
    }

    /// Every changed message, and the change that counts.
    pub fn iter(&self) -> impl Iterator<Item = ((RoomId, Seq), &Arc<Record>)> {
        self.counting.iter().map(|(target, change)| (*target, change))
    }
}

/// Whether a message with this present body is deleted.
pub fn is_deleted(message: &Record) -> bool {
    object(&message.draft.body).is_some_and(|body| body.contains_key("deleted"))
}

/// The body of `message` after `change`; `None` where nothing changes: the message is gone already, or what is there
/// is no JSON object.
pub fn body_after(message: &Draft, change: &Draft) -> Option<Bytes> {
    let (body, by) = (object(&message.body), object(&change.body));
    let at = by.as_ref().and_then(|by| by.get("at").cloned()).unwrap_or_else(|| change.sent_at_ms.into());
    let after = match change.kind {
        RecordKind::Edited => {
            let (mut body, mut by) = (body?, by?);
            if body.contains_key("deleted") {
                return None;
            }
            body.insert("content".to_owned(), by.remove("content")?);
            body.insert("edited".to_owned(), at);
            body
        }
        RecordKind::Deleted => {
            // Whatever the body was: its content must go.
            let mut old = body.unwrap_or_default();
            if old.contains_key("deleted") {
                return None;
            }
            let mut body = Map::new();
            body.insert("type".to_owned(), "message".into());
            body.insert("sender".to_owned(), message.user.get().into());
            let sent_at = old.remove("at").unwrap_or_else(|| message.sent_at_ms.into());
            body.insert("at".to_owned(), sent_at);
            if let Some(client_id) = old.remove("client-id") {
                body.insert("client-id".to_owned(), client_id);
            }
            body.insert("deleted".to_owned(), at);
            body
        }
        RecordKind::Message | RecordKind::Joined | RecordKind::Left => return None,
    };
    Some(Value::Object(after).to_string().into())
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use shared::{UserId, testing::seq};

    use super::*;

    fn room() -> RoomId {
        1.try_into().unwrap()
    }

    fn log(drafts: impl IntoIterator<Item = Draft>) -> Vec<Arc<Record>> {
        (1..).zip(drafts).map(|(n, draft)| Arc::new(Record { seq: seq(n), draft })).collect()
    }

    fn said(text: &str) -> Draft {
        Draft::message(room(), user(), Some("c1".into()), Some(seq(99)), text)
    }

    fn user() -> UserId {
        7.try_into().unwrap()
    }

    fn edit(target: i64, text: &str) -> Draft {
        Draft::edited(room(), user(), seq(target), None, text)
    }

    fn delete(target: i64) -> Draft {
        Draft::deleted(room(), user(), seq(target), None)
    }

    /// Each record's seq, and its content, or nothing.
    fn shown(records: &[Arc<Record>]) -> Vec<(i64, String)> {
        let content =
            |record: &Record| object(&record.draft.body)?.get("content")?.as_str().map(String::from);
        records.iter().map(|record| (record.seq.get(), content(record).unwrap_or_default())).collect()
    }

    #[test]
    fn the_last_edit_counts_and_earlier_ones_are_gone() {
        let mut records =
            log([said("a"), said("b"), edit(1, "a2"), edit(1, "a3"), edit(50, "x"), edit(50, "y")]);
        let at = records[3].draft.sent_at_ms;
        fold(&mut records);
        let expected = [(1, "a3"), (2, "b"), (4, "a3"), (6, "y")].map(|(n, text)| (n, text.to_owned()));
        assert_eq!(shown(&records), expected);
        let body = object(&records[0].draft.body).unwrap();
        assert_eq!(body["edited"], at);
        assert_eq!(
            (&body["client-id"], &body["reply-to"], &body["sender"]),
            (&"c1".into(), &99.into(), &7.into())
        );
        assert!(!object(&records[1].draft.body).unwrap().contains_key("edited"));
    }

    #[test]
    fn a_deletion_is_final() {
        let mut records = log([said("a"), edit(1, "a2"), delete(1), edit(1, "a3"), delete(1)]);
        fold(&mut records);
        assert_eq!(shown(&records), [1, 3, 5].map(|n| (n, String::new())));
        let body = object(&records[0].draft.body).unwrap();
        let mut keys: Vec<_> = body.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["at", "client-id", "deleted", "sender", "type"]);
        // A row that says so already stays as it is.
        let mut again = vec![records[0].clone()];
        again.extend(log([said("b"), said("c"), said("d"), said("e"), edit(1, "a4")]).split_off(5));
        fold(&mut again);
        assert_eq!(again[0], records[0]);
    }

    #[test]
    fn a_body_that_is_no_json_is_deleted_all_the_same() {
        let mut records =
            log([Draft { body: Bytes::from_static(b"secret"), ..said("") }, edit(1, "x"), delete(1)]);
        fold(&mut records);
        assert_eq!(object(&records[0].draft.body).unwrap()["sender"], 7);
    }
}
