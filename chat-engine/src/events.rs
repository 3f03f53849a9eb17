//! `meetup.events` as a node takes them: every node learns, one node writes joinings and leavings to the log.

use shared::{
    RoomId, UserId,
    event::{Delivery, Envelope, LeaveReason, MeetupEvent},
};
use tokio::sync::mpsc;

use crate::{connection::CloseReason, engine::Engine, log::AppendError, record::Draft, shard::Input};

/// Brings what this node has cached up to date, and takes people out of the rooms that they have lost. Applying an
/// event again changes nothing.
pub(crate) fn learn(engine: &Engine, event: &MeetupEvent) {
    match *event {
        MeetupEvent::MemberJoined { meetup, user, version } => {
            engine.memberships.apply(meetup.into(), user, true, version);
        }
        MeetupEvent::MemberLeft { meetup, user, version, reason } => {
            let room = meetup.into();
            engine.memberships.apply(room, user, false, version);
            // They may have joined again since: then this event is old and nobody is expelled.
            if !engine.memberships.is_known(room, user) {
                expel(engine, room, Some(user), because(reason));
            }
        }
        MeetupEvent::MeetupDeleted { meetup } => {
            let room = meetup.into();
            engine.memberships.close(room);
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

/// Writes an event to the chat log, if the room is to show it.
pub(crate) async fn record(engine: &Engine, envelope: &Envelope) -> Result<(), AppendError> {
    let draft = match envelope.event {
        MeetupEvent::MemberJoined { meetup, user, .. } => Draft::joined(meetup.into(), user, envelope.id),
        MeetupEvent::MemberLeft { meetup, user, .. } => Draft::left(meetup.into(), user, envelope.id),
        MeetupEvent::MeetupDeleted { .. }
        | MeetupEvent::UserWithdrawn { .. }
        | MeetupEvent::SessionRevoked { .. } => return Ok(()),
    };
    engine.log.append_durably(draft).await.map(drop)
}

/// Takes the events of the api in the same process, until it ends.
pub(crate) async fn follow_local(engine: std::sync::Arc<Engine>, mut events: mpsc::Receiver<Delivery>) {
    while let Some(Delivery { envelope, done }) = events.recv().await {
        learn(&engine, &envelope.event);
        match record(&engine, &envelope).await {
            // The relay may have gone; the event is in the log all the same.
            Ok(()) => drop(done.send(())),
            // Not answered: the relay delivers again.
            Err(error) => tracing::warn!(%error, event = envelope.id, "event not recorded"),
        }
    }
}
