//! A client that may no longer follow a room, or cannot as it wants to.

use stomp::ByteString;

use super::{
    Connection,
    carry_out::Subscription,
    reply::{About, Ended, notice},
};
use crate::connection::{Batch, CloseReason, Expulsion};

impl Connection {
    /// Tells the client of rooms that it was taken out of, if it has subscribed to where that is told: it lives on, and
    /// the subscription is over. Any other client is closed, so that it does not wait for messages for ever.
    pub(super) fn tell_expulsions(&mut self) {
        for Expulsion { subscriber, reason, receipt } in self.outbox.take_expulsions() {
            let found = self.session.subscriptions().find_map(|(name, of)| match of {
                Subscription::Room { room, feed, id } if *id == subscriber => {
                    Some((ByteString::from(name), feed.destination(*room).into()))
                }
                _ => None,
            });
            // The client may have ended it itself meanwhile.
            let Some((name, destination)) = found else { continue };
            let Some(title) = title(reason).filter(|_| self.errors_outlets().next().is_some()) else {
                self.outbox.close(reason);
                return;
            };
            self.session.take_back(&name);
            let about = About { receipt, subscription: Some(Ended { name, destination }) };
            let text = match reason {
                CloseReason::HistoryUnavailable => {
                    "what came before cannot be read at the moment: subscribe again"
                }
                CloseReason::MembershipUnknown => {
                    "whether you are a member cannot be checked at the moment: subscribe again"
                }
                CloseReason::Behind => "this node has not seen that place yet: subscribe again in a moment",
                other => other.text(),
            };
            let (id, mut batch) = (self.engine.registry.next_id(), Batch::default());
            for outlet in self.errors_outlets() {
                let frame = notice(outlet, id, title, text, &about);
                batch.push(&outlet.outbox, frame);
            }
        }
    }
}

/// What it is called where it ends a subscription; `None` for what ends the connection.
const fn title(reason: CloseReason) -> Option<&'static str> {
    match reason {
        CloseReason::NotAMember => Some("not a member"),
        CloseReason::Banned => Some("banned"),
        CloseReason::RoomClosed => Some("room closed"),
        CloseReason::HistoryUnavailable | CloseReason::MembershipUnknown | CloseReason::Behind => {
            Some("try again")
        }
        _ => None,
    }
}
