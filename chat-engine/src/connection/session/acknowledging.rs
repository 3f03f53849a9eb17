//! What a client's ACKs come to: in a topic nothing but their own bookkeeping, in a room a position.

use shared::{RoomId, Seq};
use stomp::{
    Acknowledgement,
    session::{Answered, Violation},
};
use tokio::sync::oneshot;

use super::{Connection, Stepped, carry_out::Subscription};
use crate::{
    room::SubscriberId,
    shard::{Feed, Input},
};

impl Connection {
    /// All acknowledgements of a transaction, or none.
    pub(super) fn acknowledge(&mut self, all: &[Acknowledgement]) -> Result<(), Violation> {
        let answered = all.iter().map(|one| self.session.acknowledge(one)).collect::<Result<Vec<_>, _>>()?;
        self.acknowledged(answered.into_iter().flatten());
        Ok(())
    }

    /// Tells the rooms how far they were read. The client is read on when all of them have taken that, so that it cannot
    /// say more than they hear.
    pub(super) fn acknowledged(&mut self, answered: impl IntoIterator<Item = Answered<Subscription>>) {
        let mut taken = Vec::new();
        for (room, id, seq) in furthest(answered) {
            let (sender, receiver) = oneshot::channel();
            self.engine.shards.send(room, Input::Acknowledge { room, id, seq, taken: sender });
            taken.push(receiver);
        }
        if taken.is_empty() {
            return;
        }
        self.step = Some(Box::pin(async move {
            for taken in taken {
                // Dropped, not sent: an error is the signal.
                let _ = taken.await;
            }
            Stepped::Taken
        }));
    }
}

/// How far each room was read on each subscription to it.
fn furthest(answered: impl IntoIterator<Item = Answered<Subscription>>) -> Vec<(RoomId, SubscriberId, Seq)> {
    let mut read: Vec<(RoomId, SubscriberId, Seq)> = Vec::new();
    for Answered { subscription, through } in answered {
        // To follow an alarm is never to read.
        let Subscription::Room { room, feed: Feed::Chat, id } = subscription else { continue };
        let seq = through.and_then(|through| Seq::from_raw(i64::try_from(through).ok()?));
        let Some(seq) = seq else { continue };
        // Where a subscription is answered again it is further on.
        match read.iter_mut().find(|(_, known, _)| *known == id) {
            Some(known) => known.2 = seq,
            None => read.push((room, id, seq)),
        }
    }
    read
}
