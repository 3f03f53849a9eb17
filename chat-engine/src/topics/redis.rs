//! Topics across nodes: Redis' sharded pub/sub, a channel for each topic that a node has subscribers of.
//!
//! Every message goes through Redis, also to the subscribers beside its sender: all nodes see a topic's messages in
//! one order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{
    clients::{Client, SubscriberClient},
    interfaces::{ClientInterface as _, ClientLike as _, EventInterface as _, PubsubInterface as _},
    types::Value,
};
use tokio::sync::{
    broadcast::error::{RecvError, TryRecvError},
    mpsc, oneshot,
};

use super::{Local, Told, TopicMessage, TopicsError};
use crate::{connection::Batch, reading::redis::builder};

/// Messages that may wait for Redis: beyond them it is unavailable.
const WAITING: usize = 4096;
/// Messages that go to Redis in one pipeline at most.
const PIPELINE: usize = 128;
/// Between two attempts to follow a channel again.
const RETRY: Duration = Duration::from_millis(100);

/// Called when a message is on its way.
type Done = Box<dyn FnOnce(Result<(), TopicsError>) + Send>;

/// The way to other nodes. Its tasks end with it.
pub(crate) struct RedisTopics {
    prefix: Arc<str>,
    publications: mpsc::Sender<Publication>,
    orders: mpsc::UnboundedSender<Order>,
}

struct Publication {
    channel: String,
    message: Bytes,
    done: Done,
}

/// One queue, so that a topic left and followed again is followed.
enum Order {
    Follow(String, Told),
    Leave(String),
}

impl RedisTopics {
    /// Connects to Redis at `url`. Messages go to the subscribers of `local`.
    pub(crate) async fn connect(
        url: &str,
        prefix: &str,
        local: Arc<Local>,
    ) -> Result<Self, fred::error::Error> {
        let client = builder(url)?.build()?;
        client.init().await?;
        let subscriber: SubscriberClient = builder(url)?.build_subscriber_client()?;
        subscriber.init().await?;
        // For whoever looks at Redis' list of clients.
        subscriber.client_setname(format!("{prefix}topics")).await?;
        let (publications, publishing) = mpsc::channel(WAITING);
        let (orders, ordered) = mpsc::unbounded_channel();
        tokio::spawn(publish(client, publishing));
        tokio::spawn(async move {
            tokio::select! {
                // Both end with the node: one when nobody gives orders any more, the other never by itself.
                () = follow(&subscriber, ordered, &local) => {}
                () = hand_on(&subscriber, &local) => {}
            }
        });
        Ok(Self { prefix: prefix.into(), publications, orders })
    }

    fn channel(&self, destination: &str) -> String {
        format!("{}{destination}", self.prefix)
    }

    /// Resolves when every message that is published from then on arrives.
    pub(super) fn subscribe(&self, destination: &str) -> oneshot::Receiver<Result<(), TopicsError>> {
        let (told, ready) = oneshot::channel();
        // The follower ends with the last sender, which is this.
        let _ = self.orders.send(Order::Follow(self.channel(destination), told));
        ready
    }

    pub(super) fn unsubscribe(&self, destination: &str) {
        let _ = self.orders.send(Order::Leave(self.channel(destination)));
    }

    pub(super) fn publish(&self, message: &TopicMessage, done: Done) {
        let channel = self.channel(&message.destination);
        let publication = Publication { channel, message: message.to_bytes(), done };
        if let Err(refused) = self.publications.try_send(publication) {
            (refused.into_inner().done)(Err(TopicsError::Unavailable));
        }
    }
}

/// Publishes in the order of asking, as many at a time as are waiting.
async fn publish(client: Client, mut publishing: mpsc::Receiver<Publication>) {
    let mut waiting = Vec::new();
    while publishing.recv_many(&mut waiting, PIPELINE).await > 0 {
        let pipeline = client.pipeline();
        let mut done = Vec::with_capacity(waiting.len());
        for publication in waiting.drain(..) {
            done.push(publication.done);
            // Queued: what becomes of it, `all` tells.
            let _: Result<Value, _> = pipeline.spublish(publication.channel, publication.message).await;
        }
        let outcome = pipeline.all::<Value>().await;
        if let Err(error) = &outcome {
            tracing::warn!(%error, messages = done.len(), "topic messages were not published");
        }
        let result = outcome.map(drop).map_err(|_| TopicsError::Unavailable);
        for done in done {
            done(result);
        }
    }
}

/// A channel that somebody on this node wants.
#[derive(Default)]
struct Wanted {
    by: usize,
    subscribed: bool,
}

/// Keeps the node subscribed to the channels of its subscribers' topics.
async fn follow(subscriber: &SubscriberClient, mut orders: mpsc::UnboundedReceiver<Order>, local: &Local) {
    let mut channels: HashMap<String, Wanted> = HashMap::new();
    let mut reconnects = subscriber.reconnect_rx();
    loop {
        let order = tokio::select! {
            // Cancel-safe both: `recv` takes nothing when dropped.
            order = orders.recv() => order,
            _ = reconnects.recv() => {
                resubscribe(subscriber).await;
                // What was published meanwhile went by.
                local.interrupt();
                continue;
            }
        };
        let Some(order) = order else { return };
        match order {
            Order::Follow(channel, told) => {
                let wanted = channels.entry(channel.clone()).or_default();
                wanted.by += 1;
                let mut outcome = Ok(());
                if !wanted.subscribed {
                    outcome = subscriber.ssubscribe(channel).await;
                    wanted.subscribed = outcome.is_ok();
                }
                if let Err(error) = &outcome {
                    tracing::warn!(%error, "a topic cannot be followed");
                }
                // The connection may be gone. One that was refused leaves, too.
                let _ = told.send(outcome.map_err(|_| TopicsError::Unavailable));
            }
            Order::Leave(channel) => {
                let Some(wanted) = channels.get_mut(&channel) else { continue };
                wanted.by -= 1;
                if wanted.by == 0
                    && let Some(Wanted { subscribed: true, .. }) = channels.remove(&channel)
                    && let Err(error) = subscriber.sunsubscribe(channel).await
                {
                    tracing::warn!(%error, "a topic cannot be left");
                }
            }
        }
    }
}

/// Subscribes again to everything, for as long as it takes. Not `manage_subscriptions`: it begins with a
/// SUBSCRIBE to no channel, which Redis refuses, and then leaves the sharded channels out.
async fn resubscribe(subscriber: &SubscriberClient) {
    for channel in subscriber.tracked_shard_channels() {
        while let Err(error) = subscriber.ssubscribe(channel.clone()).await {
            tracing::warn!(%error, "a channel cannot be subscribed to again, trying again");
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn hand_on(subscriber: &SubscriberClient, local: &Local) {
    let mut messages = subscriber.message_rx();
    loop {
        let mut received = messages.recv().await;
        let mut batch = Batch::default();
        // What is there already leaves in the same writes.
        for turn in 1.. {
            match received {
                Ok(message) => {
                    let message = message.value.as_bytes().and_then(TopicMessage::from_bytes);
                    if let Some(message) = message {
                        local.deliver(&message, &mut batch);
                    }
                }
                Err(RecvError::Lagged(lost)) => {
                    tracing::error!(lost, "topic messages were lost on this node");
                    local.interrupt();
                }
                Err(RecvError::Closed) => return,
            }
            if turn == PIPELINE {
                break;
            }
            received = match messages.try_recv() {
                Ok(message) => Ok(message),
                Err(TryRecvError::Lagged(lost)) => Err(RecvError::Lagged(lost)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
        }
        drop(batch);
        // `try_recv` takes nothing from the task's budget.
        tokio::task::consume_budget().await;
    }
}
