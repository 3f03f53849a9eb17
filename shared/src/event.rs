//! `meetup.events`: what the api tells everybody, through the transactional outbox.

use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use tokio::sync::{mpsc, oneshot};

use crate::{MeetupId, SessionId, UserId, names::EventKey};

/// Something that happened. Membership events carry the version of the `memberships` row they came from: an
/// older one never undoes a newer load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum MeetupEvent {
    /// A person became a member.
    MemberJoined {
        /// Of this meetup.
        meetup: MeetupId,
        /// Who joined.
        user: UserId,
        /// The row's version.
        version: i64,
    },
    /// A person is no longer a member.
    MemberLeft {
        /// Of this meetup.
        meetup: MeetupId,
        /// Who left.
        user: UserId,
        /// The row's version.
        version: i64,
        /// Why. Absent in events that an older program wrote.
        #[serde(default, skip_serializing_if = "LeaveReason::is_left")]
        reason: LeaveReason,
    },
    /// A meetup is gone, for everybody and for good. There is no event for each member: its room is closed.
    MeetupDeleted {
        /// Which.
        meetup: MeetupId,
    },
    /// A person withdrew their account, for good. Their memberships end by a `MemberLeft` each, in the same
    /// transaction and in the order of each meetup; this cuts the person off who has none, too.
    UserWithdrawn {
        /// Who.
        user: UserId,
    },
    /// A session ended before its tokens did.
    SessionRevoked {
        /// Whose session.
        user: UserId,
        /// Which.
        session: SessionId,
    },
}

/// Why somebody is no longer a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveReason {
    /// They wanted to go.
    #[default]
    Left,
    /// Somebody who may put them out did so.
    Banned,
    /// Their account was withdrawn.
    Withdrawn,
}

impl LeaveReason {
    /// What is not written, so that an older program reads the event too.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    const fn is_left(&self) -> bool {
        matches!(self, Self::Left)
    }
}

impl MeetupEvent {
    /// What the event is about, which decides its order.
    pub const fn key(&self) -> EventKey {
        match self {
            Self::MemberJoined { meetup, .. }
            | Self::MemberLeft { meetup, .. }
            | Self::MeetupDeleted { meetup } => EventKey::Meetup(*meetup),
            Self::UserWithdrawn { user } | Self::SessionRevoked { user, .. } => EventKey::User(*user),
        }
    }
}

/// An event as it travels. `id` is the outbox row's: a consumer that sees it twice applies it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The outbox row's id.
    pub id: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: MeetupEvent,
}

/// Writes an event into the outbox, in the transaction that makes it true.
pub async fn publish(transaction: &mut PgConnection, event: &MeetupEvent) -> sqlx::Result<()> {
    sqlx::query("insert into outbox (key, payload) values ($1, $2)")
        .bind(event.key().to_string())
        .bind(Json(event))
        .execute(transaction)
        .await?;
    Ok(())
}

/// An event on its way inside one process. The relay keeps the outbox row until `done` is answered.
#[derive(Debug)]
pub struct Delivery {
    /// What happened.
    pub envelope: Envelope,
    /// Answered once the event's effects are durable; dropped unanswered, the relay delivers again.
    pub done: oneshot::Sender<()>,
}

/// The embedded mode's `meetup.events`: from the api's relay to the engine in the same process.
pub fn local_channel() -> (mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>) {
    mpsc::channel(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_program_wrote_is_read_and_what_it_reads_is_written() {
        let old = r#"{"id":4,"type":"member-left","meetup":1,"user":2,"version":3}"#;
        let envelope: Envelope = serde_json::from_str(old).unwrap();
        let (meetup, user) = (1.try_into().unwrap(), 2.try_into().unwrap());
        let left = |reason| MeetupEvent::MemberLeft { meetup, user, version: 3, reason };
        assert_eq!(envelope.event, left(LeaveReason::Left));
        assert_eq!(serde_json::to_string(&envelope).unwrap(), old);
        // What it does not know comes behind what it does.
        let banned = serde_json::to_string(&left(LeaveReason::Banned)).unwrap();
        assert_eq!(banned, r#"{"type":"member-left","meetup":1,"user":2,"version":3,"reason":"banned"}"#);
    }
}
