//! Calls on their way to Redis, in the order they were made.

use std::time::Duration;

use fred::{interfaces::FunctionInterface as _, types::Value};
use shared::{RoomId, Seq, UserId};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{RETRY_MS, RedisError, Rooms, parse_change};
use crate::{history::journal::Journal, reading::Incarnation};

/// Calls of one pipeline.
const BATCH: usize = 512;

/// A change of who is reading.
pub(super) enum Call {
    Enter { room: RoomId, user: UserId },
    Leave { room: RoomId, user: UserId, taken: Seq },
}

impl Call {
    const fn member(&self) -> (RoomId, UserId) {
        match self {
            Self::Enter { room, user } | Self::Leave { room, user, .. } => (*room, *user),
        }
    }
}

/// Starts making calls. The task ends, all calls made, when the last sender is dropped.
pub(super) fn start(
    rooms: Rooms,
    node: Incarnation,
    journal: Journal,
) -> (mpsc::UnboundedSender<Call>, JoinHandle<()>) {
    let (sender, calls) = mpsc::unbounded_channel();
    (sender, tokio::spawn(make(rooms, node, journal, calls)))
}

async fn make(rooms: Rooms, node: Incarnation, journal: Journal, mut calls: mpsc::UnboundedReceiver<Call>) {
    let mut batch = Vec::new();
    while calls.recv_many(&mut batch, BATCH).await > 0 {
        while let Err(error) = pipeline(&rooms, node, &journal, &batch).await {
            tracing::warn!(%error, calls = batch.len(), "Redis does not take who is reading, trying again");
            tokio::time::sleep(Duration::from_millis(RETRY_MS.into())).await;
        }
        batch.clear();
    }
}

/// Makes the calls. If one finds its room cold, all are made again once it is warm.
async fn pipeline(
    rooms: &Rooms,
    node: Incarnation,
    journal: &Journal,
    batch: &[Call],
) -> Result<(), RedisError> {
    loop {
        let pipeline = rooms.client.pipeline();
        for call in batch {
            let (room, user) = call.member();
            let mut arguments = vec![rooms.channel(room), user.to_string(), node.0.to_string()];
            let function = match call {
                Call::Enter { .. } => "moyiza_enter",
                Call::Leave { taken, .. } => {
                    arguments.push(taken.to_string());
                    "moyiza_leave"
                }
            };
            pipeline.fcall::<(), _, _, _>(function, rooms.keys(room), arguments).await?;
        }
        let answers: Vec<Value> = pipeline.all().await?;
        let mut cold = Vec::new();
        for (call, answer) in batch.iter().zip(answers) {
            let (room, user) = call.member();
            match answer.as_str().as_deref() {
                Some("COLD") => cold.push(room),
                Some(line) => {
                    if let Some(seq) = parse_change(line).and_then(|change| change.to) {
                        journal.note(room, user, seq);
                    }
                }
                None => {}
            }
        }
        if cold.is_empty() {
            return Ok(());
        }
        for room in cold {
            rooms.warm(room).await?;
        }
    }
}
