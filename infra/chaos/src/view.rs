//! What one client has seen of its room.

use serde_json::Value;

/// What a record says, as far as the checker is interested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message as it is now: its content, or none if it was deleted.
    Message(Option<String>),
    /// Somebody joined or left.
    Membership {
        /// Who.
        user: i64,
        /// Whether they are a member from here on.
        joined: bool,
    },
    /// A message has other content now.
    Edited {
        /// Which.
        target: i64,
        /// What it says.
        content: String,
    },
    /// A message is gone.
    Deleted {
        /// Which.
        target: i64,
    },
}

/// A record as it came to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its place.
    pub seq: i64,
    /// As its sender named it.
    pub client_id: Option<String>,
    /// What it says.
    pub what: What,
    /// When it came, in the journal's seconds.
    pub at: u64,
    /// On which of the client's connections it came as history; none if it came live.
    pub replay: Option<u64>,
}

impl Seen {
    /// From a MESSAGE's `seq` and body.
    pub fn parse(seq: i64, body: &str, at: u64) -> Result<Self, String> {
        let value: Value = serde_json::from_str(body).map_err(|error| format!("{error} in {body}"))?;
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let target = || value["target"].as_i64().ok_or_else(|| format!("no target in {body}"));
        let what = match value["type"].as_str() {
            Some("message") if !value["deleted"].is_null() => What::Message(None),
            Some("message") => {
                What::Message(Some(text("content").ok_or_else(|| format!("no content in {body}"))?))
            }
            Some(event @ ("joined" | "left")) => {
                let user = value["user"].as_i64().ok_or_else(|| format!("nobody in {body}"))?;
                What::Membership { user, joined: event == "joined" }
            }
            Some("edited") => {
                What::Edited { target: target()?, content: text("content").unwrap_or_default() }
            }
            Some("deleted") => What::Deleted { target: target()? },
            _ => return Err(format!("an unknown type: {body}")),
        };
        Ok(Self { seq, client_id: text("client-id"), what, at, replay: None })
    }

    /// Whether it changes an earlier one, and has no place of its own on the page.
    pub const fn is_change(&self) -> bool {
        matches!(self.what, What::Edited { .. } | What::Deleted { .. })
    }
}

/// A stretch of the room that was read as pages, in which changes of earlier messages are not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last record before it.
    pub after: i64,
    /// The last one before the first that came in the usual way after it.
    pub to: i64,
}

impl Gap {
    /// One that ends with the next record.
    pub const fn open(after: i64) -> Self {
        Self { after, to: i64::MAX }
    }
}

/// All of it, in the order in which it came.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Each record.
    pub seen: Vec<Seen>,
    /// Where it was too far behind to be told everything.
    pub gaps: Vec<Gap>,
    /// What no rule allows, as it was noticed.
    pub wrong: Vec<String>,
}

impl View {
    /// The place of the last record, to go on from; 0 if there is none.
    pub fn last(&self) -> i64 {
        self.seen.last().map_or(0, |seen| seen.seq)
    }

    /// Adds one. That it is later than all before it is the checker's to say.
    pub fn add(&mut self, seen: Seen) {
        if let Some(open) = self.gaps.last_mut().filter(|gap| gap.to == i64::MAX) {
            open.to = seen.seq - 1;
        }
        self.seen.push(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joined_and_left_is_known() {
        let what = |body| Seen::parse(7, body, 0).map(|seen| seen.what);
        let joined = r#"{"type":"joined","user":12,"at":1795300000000,"client-id":"event-81"}"#;
        assert_eq!(what(joined), Ok(What::Membership { user: 12, joined: true }));
        let left = r#"{"type":"left","user":12,"at":1795300000000,"reason":"left"}"#;
        assert_eq!(what(left), Ok(What::Membership { user: 12, joined: false }));
        assert!(what(r#"{"type":"left"}"#).is_err());
    }
}
