//! How subscribers leave a room, of their own will or not.

use shared::{RoomId, UserId};

use super::Worker;
use crate::{
    connection::{CloseReason, Expulsion},
    room::SubscriberId,
    shard::RoomOutlet,
};

impl Worker {
    /// Nothing of the room goes to this subscriber any more: returns the way there was to it.
    pub(super) fn unsubscribe(&mut self, room: RoomId, id: SubscriberId) -> Option<RoomOutlet> {
        let open = self.rooms.get_mut(&room)?;
        let arriving = open.arriving.remove(&id);
        let added = open.outlets.remove(&id);
        // However it ends: what the client had when it said so, its machine had acknowledged with the same packet.
        let reached = added.as_ref().and_then(|to| {
            let reached = to.outlet.outbox.reached_at_last(id);
            to.outlet.outbox.forget(id);
            reached
        });
        self.with_room(room, |room, out| room.unsubscribe(id, reached, out));
        added.or(arriving.map(|arriving| arriving.outlet))
    }

    /// Ends the subscriptions of `user`, or of everybody. Their connections tell them, behind all that was queued here.
    pub(super) fn expel(&mut self, room: RoomId, user: Option<UserId>, reason: CloseReason) {
        let Some(open) = self.rooms.get(&room) else { return };
        let those = match user {
            Some(user) => open.room.subscribers_of(user),
            None => open.outlets.keys().chain(open.arriving.keys()).copied().collect(),
        };
        for id in those {
            self.take_out(room, id, reason);
        }
    }

    /// Ends a subscription, and has its client told.
    pub(super) fn take_out(&mut self, room: RoomId, id: SubscriberId, reason: CloseReason) {
        if let Some(to) = self.unsubscribe(room, id) {
            let receipt = to.answer.and_then(|answer| answer.receipt);
            to.outlet.outbox.expel(Expulsion { subscriber: id, reason, receipt });
        }
    }
}
