//! The changes of open rooms, as Redis publishes them.

use std::sync::Weak;

use fred::{
    clients::SubscriberClient,
    interfaces::{EventInterface as _, PubsubInterface as _},
};
use futures_util::future::join_all;
use shared::RoomId;
use tokio::sync::{broadcast::error::RecvError, mpsc, oneshot};

use super::{News, Rooms, parse_news, silent::Followed};
use crate::shard::Shards;

/// What the node wants to hear of. One queue, so that a room forgotten and opened again is followed.
pub(super) enum Order {
    /// Unless it is needed no more: then it was forgotten already, and nobody would do so again.
    Follow(RoomId, Weak<()>, oneshot::Sender<()>),
    Forget(RoomId),
}

pub(super) fn start(
    subscriber: SubscriberClient,
    rooms: Rooms,
    followed: Followed,
    shards: Shards,
) -> mpsc::UnboundedSender<Order> {
    let (sender, orders) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        tokio::select! {
            // Both end with the node: one when nobody gives orders any more, the other never by itself.
            () = follow(&subscriber, rooms, followed, orders) => {}
            () = hand_on(&subscriber, shards) => {}
        }
    });
    sender
}

/// Orders go to Redis in one go, in their order: ten thousand people who open the app are not ten thousand round trips.
const BATCH: usize = 256;

async fn follow(
    subscriber: &SubscriberClient,
    rooms: Rooms,
    followed: Followed,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let carry_out = async |order: Order| {
        let outcome = match order {
            Order::Follow(_, needed, _) if needed.strong_count() == 0 => Ok(()),
            Order::Follow(room, _, done) => {
                followed.add(room);
                let outcome = subscriber.ssubscribe(rooms.channel(room)).await;
                if outcome.is_ok() {
                    // Unanswered, the snapshot is refused and asked for again.
                    let _ = done.send(());
                }
                outcome
            }
            Order::Forget(room) => {
                followed.remove(room);
                subscriber.sunsubscribe(rooms.channel(room)).await
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a room's changes cannot be followed or left");
        }
    };
    let mut batch = Vec::new();
    while orders.recv_many(&mut batch, BATCH).await > 0 {
        // Each is sent when it is first polled, which happens in this order.
        join_all(batch.drain(..).map(&carry_out)).await;
    }
}

async fn hand_on(subscriber: &SubscriberClient, shards: Shards) {
    let (mut messages, mut reconnects) = (subscriber.message_rx(), subscriber.reconnect_rx());
    loop {
        let message = tokio::select! {
            // Cancel-safe: `recv` of a broadcast takes nothing when dropped.
            message = messages.recv() => message,
            _ = reconnects.recv() => Err(RecvError::Lagged(0)),
        };
        match message {
            Ok(message) => {
                let news = message.value.as_str().and_then(|line| parse_news(&line));
                match (room_of(&message.channel), news) {
                    (Some(room), Some(News::Changed(change))) => shards.change(room, change),
                    // From the first version on.
                    (Some(room), Some(News::Begun(life))) => shards.latest(room, life, 1),
                    _ => {}
                }
            }
            // Changes were missed, and a silent room would not soon find out. Each open room asks for what it missed and, before
            // that, follows its channel again.
            Err(RecvError::Lagged(_)) => shards.resync(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// `{prefix}{room:ID}:feed`
fn room_of(channel: &str) -> Option<RoomId> {
    channel.rsplit_once("{room:")?.1.strip_suffix("}:feed")?.parse().ok()
}
