//! `meetup.events` as a node takes them: every node learns, one node writes joinings and leavings to the log.

use shared::{
    RoomId, UserId,
    event::{Delivery, Envelope, LeaveReason, MeetupEvent},
};
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::{
    connection::CloseReason, engine::Engine, history::memberships::is_shown, log::AppendError, record::Draft,
    shard::Input,
};

/// Brings what this node has cached up to date, and takes people out of the rooms that they have lost. Applying an
/// event again changes nothing.
pub(crate) fn learn(engine: &Engine, event: &MeetupEvent) {
    match *event {
        MeetupEvent::MemberJoined { meetup, user, version } => {
            engine.memberships.apply(meetup.into(), user, true, version);
            engine.inboxes.joined(meetup.into(), user, version);
        }
        MeetupEvent::MemberLeft { meetup, user, version, reason } => {
            let room = meetup.into();
            engine.memberships.apply(room, user, false, version);
            engine.inboxes.left(room, user, version, because(reason));
            // They may have joined again since: then this event is old and nobody is expelled.
            if !engine.memberships.is_known(room, user) {
                expel(engine, room, Some(user), because(reason));
            }
        }
        MeetupEvent::MeetupDeleted { meetup } => {
            let room = meetup.into();
            engine.memberships.close(room);
            engine.inboxes.closed(room);
            expel(engine, room, None, CloseReason::RoomClosed);
        }
        MeetupEvent::UserWithdrawn { user } => {
            engine.access.withdraw(user);
            engine.registry.close_user(user, CloseReason::UserWithdrawn);
        }
        MeetupEvent::SessionRevoked { user, session } => {
            engine.access.revoke(session);
            engine.registry.close_session(user, session, CloseReason::SessionRevoked);
        }
    }
}

/// Takes `user`, or everybody, out of a room. The cache comes first: who subscribes meanwhile looks at it afterwards.
pub(crate) fn expel(engine: &Engine, room: RoomId, user: Option<UserId>, reason: CloseReason) {
    engine.shards.send(room, Input::Expel { room, user, reason });
}

const fn because(reason: LeaveReason) -> CloseReason {
    match reason {
        LeaveReason::Left => CloseReason::NotAMember,
        LeaveReason::Banned => CloseReason::Banned,
        LeaveReason::Withdrawn => CloseReason::UserWithdrawn,
    }
}

/// Why an event is not in the chat log yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("PostgreSQL does not say whether the room shows it: {0}")]
    Sql(#[from] sqlx::Error),
}

/// What the room is to show of an event.
pub(crate) fn draft(envelope: &Envelope) -> Option<Draft> {
    match envelope.event {
        MeetupEvent::MemberJoined { meetup, user, .. } => {
            Some(Draft::joined(meetup.into(), user, envelope.id))
        }
        MeetupEvent::MemberLeft { meetup, user, .. } => Some(Draft::left(meetup.into(), user, envelope.id)),
        MeetupEvent::MeetupDeleted { .. }
        | MeetupEvent::UserWithdrawn { .. }
        | MeetupEvent::SessionRevoked { .. } => None,
    }
}

/// Writes an event to the chat log, if the room is to show it and has not. Only where every record of the log is a row.
async fn record(engine: &Engine, pool: &PgPool, envelope: &Envelope) -> Result<(), RecordError> {
    let Some(draft) = draft(envelope) else { return Ok(()) };
    if !is_shown(pool, draft.room, draft.user, envelope.id).await? {
        engine.log.append_durably(draft).await?;
    }
    Ok(())
}

/// Takes the events of the api in the same process, until it ends.
pub(crate) async fn follow_local(
    engine: std::sync::Arc<Engine>,
    pool: PgPool,
    mut events: mpsc::Receiver<Delivery>,
) {
    while let Some(Delivery { envelope, done }) = events.recv().await {
        learn(&engine, &envelope.event);
        match record(&engine, &pool, &envelope).await {
            // The relay may have gone; the event is in the log all the same.
            Ok(()) => drop(done.send(())),
            // Not answered: the relay delivers again.
            Err(error) => tracing::warn!(%error, event = envelope.id, "event not recorded"),
        }
    }
}
