//! A node's members are held by a lease. A node that does not renew it is dead: any other takes its members out of
//! the rooms where they were reading. A node that finds its lease gone, because it was stopped for too long or
//! because Redis was emptied, goes on as a new incarnation and asserts everybody again; what it may still say as the old
//! one is refused.

use std::time::Duration;

use fred::{interfaces::FunctionInterface as _, types::Value};
use shared::RoomId;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use super::{RedisError, Rooms, calls::Call, generation::newer};
use crate::reading::Incarnation;

/// How long a node may be silent.
const LEASE: Duration = Duration::from_secs(10);
/// How often it says that it lives, and looks who does not.
const RENEWAL: Duration = Duration::from_secs(1);
/// Rooms of one pipeline.
const BATCH: usize = 512;

/// Renews the lease of whichever incarnation is `current`, until that has no sender any more.
pub(super) async fn keep(
    rooms: Rooms,
    calls: mpsc::WeakUnboundedSender<Call>,
    mut current: watch::Receiver<Incarnation>,
) {
    let mut every = tokio::time::interval(RENEWAL);
    // A Redis that was away is not told of every second of it.
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut burying: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            // Cancel-safe both: a tick that was not taken comes again.
            _ = every.tick() => {}
            changed = current.changed() => if changed.is_err() { return },
        }
        let node = *current.borrow_and_update();
        match renew(&rooms, node, false).await {
            Ok((held, lost)) => {
                if !held && let Some(calls) = calls.upgrade() {
                    // In the same queue as everything that is said about readers.
                    let _ = calls.send(Call::LeaseLost(node));
                }
                // Beside this: the dead may have been in so many rooms that the lease of the living would end meanwhile.
                if !lost.is_empty() && burying.as_ref().is_none_or(JoinHandle::is_finished) {
                    burying = Some(tokio::spawn(bury_all(rooms.clone(), lost)));
                }
            }
            Err(error) => tracing::warn!(%error, "the lease was not renewed"),
        }
    }
}

/// Renews the lease of `node`, or takes one if it begins. Whether it has one, and who has lost theirs.
pub(super) async fn renew(
    rooms: &Rooms,
    node: Incarnation,
    begins: bool,
) -> Result<(bool, Vec<String>), RedisError> {
    let [living, dying, _] = rooms.nodes_and("");
    let arguments = vec![node.0.to_string(), LEASE.as_millis().to_string(), u8::from(begins).to_string()];
    let (held, lost): (i64, Vec<String>) =
        rooms.client.fcall("moyiza_renew", vec![living, dying], arguments).await?;
    Ok((held == 1, lost))
}

/// What is not done is done at another renewal, here or on another node.
async fn bury_all(rooms: Rooms, lost: Vec<String>) {
    for dead in lost {
        match bury(&rooms, &dead).await {
            Ok(None) => {}
            Ok(Some(count)) => tracing::warn!(dead, rooms = count, "took over the rooms of a dead node"),
            Err(error) => tracing::warn!(%error, dead, "a dead node's rooms are not taken over yet"),
        }
    }
}

/// Takes a dead node out of every room: of how many, or `None` for one that lives after all. Struck from the list last, so
/// that another node goes on if this one dies too; doing it twice changes nothing.
async fn bury(rooms: &Rooms, dead: &str) -> Result<Option<usize>, RedisError> {
    let arguments = vec![dead.to_owned(), LEASE.as_millis().to_string()];
    let keys = rooms.nodes_and(dead).to_vec();
    // Not an `Option`: an empty list, of a node that was in no room, would be none, and the node dying for ever.
    let condemned: Value = rooms.client.fcall("moyiza_condemn", keys, arguments).await?;
    let Value::Array(open) = condemned else { return Ok(None) };
    let open: Vec<RoomId> = open.iter().filter_map(|room| room.as_str()?.parse().ok()).collect();
    clear(rooms, dead, &open).await?;
    strike(rooms, dead).await?;
    Ok(Some(open.len()))
}

/// Takes a node that says nothing more out of these rooms.
pub(super) async fn clear(rooms: &Rooms, node: &str, open: &[RoomId]) -> Result<(), RedisError> {
    for open in open.chunks(BATCH) {
        let pipeline = rooms.client.pipeline();
        for room in open {
            let arguments = rooms.arguments(*room, [node.to_owned()]);
            pipeline.fcall::<(), _, _, _>("moyiza_bury", rooms.keys(*room), arguments).await?;
        }
        let answers: Vec<Value> = pipeline.all().await?;
        // A room that Redis has lost, or is to lose, has nobody to be taken out. One that was loaded since may have.
        if let Some(generation) = answers.iter().filter_map(newer).max() {
            rooms.learn_generation(generation).await?;
            return Err(RedisError::Stale);
        }
    }
    Ok(())
}

/// Forgets a node that reads nowhere.
pub(super) async fn strike(rooms: &Rooms, node: &str) -> Result<(), RedisError> {
    let keys = rooms.nodes_and(node).to_vec();
    rooms.client.fcall::<(), _, _, _>("moyiza_strike", keys, vec![node.to_owned()]).await?;
    Ok(())
}
