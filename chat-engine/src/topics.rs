//! `/topic/{name}`: plain transient pub/sub. A message goes to whoever is subscribed at the moment, on every node.
//!
//! The one who publishes queues a message for all subscribers of this node while it holds the topic, so that all
//! of them see a topic's messages in one order. What is queued is written after that, without it, but for a queue that
//! has no room left: that one is offered to its socket at once, which never waits.

mod message;
pub(crate) mod redis;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;
pub(crate) use message::TopicMessage;
use redis::RedisTopics;
use stomp::Send;
use tokio::sync::oneshot;

use crate::{
    connection::{Batch, CloseReason, Outlet},
    room::SubscriberId,
};

/// Why a topic cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TopicsError {
    /// What carries messages between nodes does not answer.
    #[error("topics are unavailable at the moment")]
    Unavailable,
}

/// Comes when a subscription holds on every node.
pub(crate) type Ready = std::pin::Pin<Box<dyn Future<Output = Result<(), TopicsError>> + std::marker::Send>>;

/// The subscribers of this node.
pub(crate) struct Topics {
    local: Arc<Local>,
    /// Absent on a node that is alone.
    remote: Option<RedisTopics>,
}

/// Subscribers by destination.
pub(crate) struct Local {
    topics: DashMap<Arc<str>, Vec<(SubscriberId, Outlet)>>,
    next_message: AtomicU64,
    compress_from: usize,
}

impl Local {
    pub(crate) fn new(compress_from: usize) -> Arc<Self> {
        Arc::new(Self { topics: DashMap::new(), next_message: AtomicU64::new(1), compress_from })
    }

    /// Queues a message for every subscriber of this node.
    pub(crate) fn deliver(&self, message: &TopicMessage, batch: &mut Batch) {
        // Exclusive, so that two messages reach all subscribers in the same order, and their numbers grow.
        let Some(subscribers) = self.topics.get_mut(&*message.destination) else { return };
        let number = self.next_message.fetch_add(1, Ordering::Relaxed);
        message.with_forms(number, self.compress_from, |forms| {
            for (_, outlet) in &*subscribers {
                outlet.push(forms, None, batch);
            }
        });
    }

    /// Messages did not reach this node: whoever may have missed one is told so by a close.
    pub(crate) fn interrupt(&self) {
        for subscribers in &self.topics {
            subscribers.iter().for_each(|(_, outlet)| outlet.outbox.close(CloseReason::MessagesLost));
        }
    }

    fn add(&self, destination: &Arc<str>, id: SubscriberId, outlet: Outlet) {
        self.topics.entry(destination.clone()).or_default().push((id, outlet));
    }

    fn remove(&self, destination: &Arc<str>, id: SubscriberId) {
        self.topics.remove_if_mut(destination, |_, subscribers| {
            if let Some(at) = subscribers.iter().position(|(other, _)| *other == id) {
                subscribers.swap_remove(at);
            }
            subscribers.is_empty()
        });
    }
}

impl Topics {
    /// Topics of this node, and of others if there is a way to them.
    pub(crate) fn new(local: Arc<Local>, remote: Option<RedisTopics>) -> Self {
        Self { local, remote }
    }

    /// Adds a subscriber. `None` if it holds already.
    #[must_use]
    pub(crate) fn subscribe(
        &self,
        destination: &Arc<str>,
        id: SubscriberId,
        outlet: Outlet,
    ) -> Option<Ready> {
        self.local.add(destination, id, outlet);
        let ready = self.remote.as_ref()?.subscribe(destination);
        Some(Box::pin(async move { ready.await.unwrap_or(Err(TopicsError::Unavailable)) }))
    }

    /// Removes a subscriber.
    pub(crate) fn unsubscribe(&self, destination: &Arc<str>, id: SubscriberId) {
        self.local.remove(destination, id);
        if let Some(remote) = &self.remote {
            remote.unsubscribe(destination);
        }
    }

    /// Sends a message to all subscribers; `done` is called when it is on its way to them.
    pub(crate) fn publish(
        &self,
        send: Send,
        batch: &mut Batch,
        done: impl FnOnce(Result<(), TopicsError>) + std::marker::Send + 'static,
    ) {
        let message = TopicMessage::new(send);
        match &self.remote {
            None => {
                self.local.deliver(&message, batch);
                done(Ok(()));
            }
            Some(remote) => remote.publish(&message, Box::new(done)),
        }
    }
}

/// Told when a command was carried out.
type Told = oneshot::Sender<Result<(), TopicsError>>;
