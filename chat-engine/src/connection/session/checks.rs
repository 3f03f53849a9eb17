//! What has to be true before a client's request is carried out, asked where it is known.

use std::sync::{Arc, atomic::Ordering};

use shared::{RoomId, Seq, UserId};
use stomp::ByteString;
use tokio::sync::oneshot;

use crate::{
    connection::requests::{Post, Refusal, Sending, What},
    engine::Engine,
    history::Found,
    record::{Record, RecordKind},
    shard::{self, Input, Unavailable},
};

/// Asks on behalf of one person.
pub(super) struct Checks {
    pub(super) engine: Arc<Engine>,
    pub(super) user: UserId,
}

/// A message that somebody wants to change or to answer.
#[derive(Debug)]
pub(super) struct Target {
    room: RoomId,
    seq: Seq,
    act: Act,
    client_id: Option<ByteString>,
}

/// What they want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Answer,
    Edit,
    Delete,
}

impl Target {
    pub(super) fn of(sending: &Sending) -> Option<Self> {
        let Sending::Log(Post { room, client_id, what }) = sending else { return None };
        let (seq, act) = match what {
            What::Say { reply_to, .. } => ((*reply_to)?, Act::Answer),
            What::Edit { target, .. } => (*target, Act::Edit),
            What::Delete { target } => (*target, Act::Delete),
        };
        Some(Self { room: *room, seq, act, client_id: client_id.clone() })
    }
}

impl Checks {
    /// Whether the person is a member of these rooms and may do this with these messages; if not, what stands beside
    /// the one that is in the way.
    pub(super) async fn pass(
        &self,
        rooms: &[(usize, RoomId)],
        targets: &[(usize, Target)],
    ) -> Result<(), (usize, Refusal)> {
        for (at, room) in rooms {
            self.look_at_membership(*room).await.map_err(|refusal| (*at, refusal))?;
        }
        for (at, target) in targets {
            self.look_at(target).await.map_err(|refusal| (*at, refusal))?;
        }
        Ok(())
    }

    async fn look_at_membership(&self, room: RoomId) -> Result<(), Refusal> {
        match self.engine.memberships.check(room, self.user).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::NotAMember(room)),
            Err(error) => {
                tracing::error!(%error, %room, "membership cannot be checked");
                let text = format!("the membership of room {room} cannot be checked at the moment");
                Err(Refusal::TryAgain(text))
            }
        }
    }

    async fn look_at(&self, target: &Target) -> Result<(), Refusal> {
        let Target { room, seq, act, ref client_id } = *target;
        // A repeat is answered with the first one's place, whatever has become of the message since.
        if client_id.as_deref().is_some_and(|id| self.engine.log.knows(room, self.user, id)) {
            return Ok(());
        }
        if !self.engine.caught_up.load(Ordering::Relaxed) {
            // Whether it is a repeat, and what has become of the message, may stand in what this node has not read yet.
            return Err(Refusal::TryAgain("this node is catching up with the log".into()));
        }
        let (reply, found) = oneshot::channel();
        self.engine.shards.send(room, Input::Find { room, seq, reply });
        // A shard ends only with the node.
        let shard::Target { found, change } = found
            .await
            .unwrap_or(Err(Unavailable))
            .map_err(|unavailable| Refusal::TryAgain(unavailable.to_string()))?;
        let Some(Found { record, deleted }) = found else { return Err(Refusal::NoSuchMessage { room, seq }) };
        let is_deletion = |change: &Arc<Record>| change.draft.kind == RecordKind::Deleted;
        if deleted || change.as_ref().is_some_and(is_deletion) {
            return Err(Refusal::Deleted(seq));
        }
        let is_own = record.draft.user == self.user;
        let may = match act {
            Act::Answer => true,
            Act::Edit => is_own,
            Act::Delete => is_own || self.may_moderate(room).await?,
        };
        if may { Ok(()) } else { Err(Refusal::NotYours(seq)) }
    }

    async fn may_moderate(&self, room: RoomId) -> Result<bool, Refusal> {
        self.engine.memberships.may_moderate(room, self.user).await.map_err(|error| {
            tracing::error!(%error, %room, "a role cannot be looked up");
            Refusal::TryAgain(format!("the roles of room {room} cannot be looked up at the moment"))
        })
    }
}
