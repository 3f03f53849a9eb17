//! `meetup.events` as a node takes them: every node learns, one node writes joinings and leavings to the log.

use std::{sync::Arc, time::Duration};

use shared::{
    RoomId, UserId,
    event::{Delivery, Envelope, LeaveReason, MeetupEvent},
};
use sqlx::PgPool;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    connection::CloseReason, engine::Engine, history::memberships::is_shown, log::AppendError, record::Draft,
    shard::Input,
};

/// How long PostgreSQL has to say that somebody who has left is a member again. They hear the room meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// Brings what this node has cached up to date, and takes people out of the rooms that they have lost. Applying an
/// event again changes nothing.
pub(crate) fn learn(engine: &Arc<Engine>, event: &MeetupEvent) {
    match *event {
        MeetupEvent::MemberJoined { meetup, user, version } => {
            engine.memberships.apply(meetup.into(), user, true, version);
            engine.inboxes.joined(meetup.into(), user, version);
        }
        MeetupEvent::MemberLeft { meetup, user, version, reason } => {
            let room = meetup.into();
            engine.memberships.apply(room, user, false, version);
            engine.inboxes.left(room, user, version, because(reason));
            // Nobody follows a room that nobody has asked for.
            if engine.memberships.is_cached(room) {
                put_out(engine, room, user, because(reason));
            }
        }
        MeetupEvent::MeetupDeleted { meetup } => {
            let room = meetup.into();
            engine.memberships.close(room);
            engine.inboxes.closed(room);
            engine.shards.send(room, Input::Expel { room, user: None, reason: CloseReason::RoomClosed });
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

/// Takes `user` out of a room unless they are a member. They may have joined again, and what tells of it be still on its
/// way behind the event that is applied now: PostgreSQL knows. Whoever subscribes meanwhile looks at the cache afterwards.
pub(crate) fn put_out(engine: &Arc<Engine>, room: RoomId, user: UserId, reason: CloseReason) {
    if engine.memberships.is_known(room, user) {
        return;
    }
    let (runtime, engine) = (&engine.runtime, engine.clone());
    runtime.spawn(async move {
        let reason = match timeout(PATIENCE, engine.memberships.check(room, user)).await {
            Ok(Ok(_)) => reason,
            Ok(Err(error)) => {
                tracing::warn!(%error, %room, %user, "PostgreSQL does not say whether they are back");
                CloseReason::MembershipUnknown
            }
            Err(_) => CloseReason::MembershipUnknown,
        };
        let expel = || engine.shards.send(room, Input::Expel { room, user: Some(user), reason });
        engine.memberships.unless_member(room, user, expel);
    });
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
pub(crate) async fn follow_local(engine: Arc<Engine>, pool: PgPool, mut events: mpsc::Receiver<Delivery>) {
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
