//! Joinings and leavings on their way from `meetup.events` into the log.

use std::{sync::Arc, time::Duration};

use rdkafka::{Message as _, message::OwnedMessage};
use shared::event::Envelope;
use tokio::{sync::mpsc, task::JoinSet};

use super::group::Group;
use crate::{engine::Engine, events};

/// Between two attempts to append to the log.
const RETRY: Duration = Duration::from_millis(200);
/// Events that may wait.
const WAITING: usize = 256;

/// Starts appending what is sent here, in `tasks`. An event that was appended twice, because its offset was
/// not committed in time, is a repeat, which nobody sees.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    group: Group,
    engine: Arc<Engine>,
) -> mpsc::Sender<OwnedMessage> {
    let (sender, mut messages) = mpsc::channel::<OwnedMessage>(WAITING);
    tasks.spawn(async move {
        while let Some(message) = messages.recv().await {
            if let Some(Ok(envelope)) = message.payload().map(serde_json::from_slice::<Envelope>) {
                while let Err(error) = events::record(&engine, &envelope).await {
                    tracing::warn!(%error, event = envelope.id, "event not recorded, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            } else {
                let (partition, offset) = (message.partition(), message.offset());
                tracing::error!(partition, offset, "no event, left out");
            }
            group.commit(&message);
        }
    });
    sender
}
