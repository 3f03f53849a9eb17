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
    },
    /// A session ended before its tokens did.
    SessionRevoked {
        /// Whose session.
        user: UserId,
        /// Which.
        session: SessionId,
    },
}

impl MeetupEvent {
    /// What the event is about, which decides its order.
    pub const fn key(&self) -> EventKey {
        match self {
            Self::MemberJoined { meetup, .. } | Self::MemberLeft { meetup, .. } => EventKey::Meetup(*meetup),
            Self::SessionRevoked { user, .. } => EventKey::User(*user),
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
