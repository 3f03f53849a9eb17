//! Rows of `chat_messages`, as plain SQL gives them.

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::PgPool;

use crate::{
    person::Ask,
    view::{Seen, What},
};

/// The kinds of records, by what they are to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message,
    /// Somebody joined or left.
    Membership,
    /// A change of a message.
    Edited,
    /// The end of one.
    Deleted,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
    /// Who sent it.
    pub sender: Option<i64>,
    /// From its body.
    pub client_id: Option<String>,
    /// The message that a change is about.
    pub target: Option<i64>,
    /// What a message says; none if it was deleted.
    pub content: Option<String>,
    /// The seq of the last change that a message shows.
    pub changed: Option<i64>,
    /// A change whose body went with a later one.
    pub is_covered: bool,
}

impl Row {
    /// Whether what was seen may have come from this row: as it is, or as it was before a change.
    pub fn is_of(&self, seen: &Seen) -> bool {
        let same_kind = match (&seen.what, self.kind) {
            (What::Message(_), Kind::Message) | (What::Membership { .. }, Kind::Membership) => true,
            (What::Edited { target, .. }, Kind::Edited) | (What::Deleted { target }, Kind::Deleted) => {
                self.target == Some(*target)
            }
            _ => false,
        };
        same_kind && (self.is_covered || seen.client_id == self.client_id)
    }
}

impl Row {
    /// Whether this is what was asked for under that name.
    pub fn is_what(&self, ask: &Ask, client_id: &str) -> bool {
        let is_named = self.client_id.as_deref() == Some(client_id);
        match ask {
            // What it says may have been changed since.
            Ask::Say(content) => {
                self.kind == Kind::Message
                    && is_named
                    && (self.changed.is_some() || self.content.as_ref() == Some(content))
            }
            // What a later change covers says nothing any more, its client-id included.
            Ask::Edit { target, content } => {
                self.kind == Kind::Edited
                    && self.target == Some(*target)
                    && (self.is_covered || is_named && self.content.as_ref() == Some(content))
            }
            Ask::Delete { target } => self.kind == Kind::Deleted && self.target == Some(*target) && is_named,
        }
    }
}

/// The rows of a room up to the one at `last`.
pub async fn read(pool: &PgPool, room: i64, last: i64) -> Result<Vec<Row>> {
    type Columns = (i64, i16, Option<i64>, String, Option<i64>, Option<i64>, bool);
    let rows: Vec<Columns> = sqlx::query_as(
        "select seq, kind, sender_id, body, target, changed, deleted from chat_messages \
         where room_id = $1 and seq <= $2 order by seq",
    )
    .bind(room)
    .bind(last)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|columns| row(columns).with_context(|| format!("in room {room}"))).collect()
}

fn row(
    (seq, kind, sender, body, target, changed, deleted): (
        i64,
        i16,
        Option<i64>,
        String,
        Option<i64>,
        Option<i64>,
        bool,
    ),
) -> Result<Row> {
    let kind = match kind {
        0 => Kind::Message,
        1 | 2 => Kind::Membership,
        3 => Kind::Edited,
        4 => Kind::Deleted,
        other => anyhow::bail!("row {seq} is of kind {other}"),
    };
    let is_covered = body.is_empty();
    let value =
        if is_covered { Value::Null } else { serde_json::from_str(&body).with_context(|| body.clone())? };
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    anyhow::ensure!(
        kind != Kind::Message || deleted != value["deleted"].is_null(),
        "row {seq} is deleted: {deleted}, but says {body}"
    );
    Ok(Row {
        seq,
        kind,
        sender,
        client_id: text("client-id"),
        target,
        content: text("content"),
        changed,
        is_covered,
    })
}
