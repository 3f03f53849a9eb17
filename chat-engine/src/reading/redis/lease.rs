//! A node's members are held by a lease. A node that does not renew it is dead: any other takes its members out of
//! the rooms where they were reading. A node that finds its lease gone, because it was stopped for too long or
//! because Redis was emptied, asserts everybody again.

use std::time::Duration;

use fred::interfaces::{FunctionInterface as _, KeysInterface as _, SetsInterface as _};
use shared::RoomId;
use tokio::sync::{mpsc, watch};

use super::{RedisError, Rooms, calls::Call};
use crate::{reading::Incarnation, shard::Shards};

/// How long a node may be silent.
const LEASE: Duration = Duration::from_secs(10);
/// How often it says that it lives, and looks who does not.
const RENEWAL: Duration = Duration::from_secs(1);

/// Renews the lease until `stop` changes or its sender is gone.
pub(super) async fn keep(
    rooms: Rooms,
    node: Incarnation,
    calls: mpsc::WeakUnboundedSender<Call>,
    shards: Shards,
    mut stop: watch::Receiver<()>,
) {
    let mut every = tokio::time::interval(RENEWAL);
    let mut first = true;
    loop {
        tokio::select! {
            // Cancel-safe both: a tick that was not taken comes again.
            _ = every.tick() => {}
            _ = stop.changed() => return,
        }
        match renew(&rooms, node).await {
            Ok((held, lost)) => {
                if !held
                    && !std::mem::take(&mut first)
                    && let Some(calls) = calls.upgrade()
                {
                    tracing::warn!("this node's lease was gone: asserting again who is reading");
                    // Before any `Enter`, in the same queue.
                    let _ = calls.send(Call::LeaseLost);
                    shards.reassert();
                }
                first = false;
                for dead in lost {
                    match bury(&rooms, &dead).await {
                        Ok(count) => {
                            tracing::warn!(dead, rooms = count, "took over the rooms of a dead node");
                        }
                        Err(error) => {
                            tracing::warn!(%error, dead, "a dead node's rooms are not taken over yet");
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the lease was not renewed"),
        }
    }
}

async fn renew(rooms: &Rooms, node: Incarnation) -> Result<(bool, Vec<String>), RedisError> {
    let arguments = vec![node.0.to_string(), LEASE.as_millis().to_string()];
    let (held, lost): (i64, Vec<String>) =
        rooms.client.fcall("moyiza_renew", vec![rooms.living()], arguments).await?;
    Ok((held == 1, lost))
}

/// Takes a dead node out of every room. Struck from the list last, so that another node goes on if this one dies
/// too; doing it twice changes nothing.
async fn bury(rooms: &Rooms, dead: &str) -> Result<usize, RedisError> {
    let open: Vec<String> = rooms.client.smembers(rooms.rooms_of(dead)).await?;
    for room in &open {
        let Ok(room) = room.parse::<RoomId>() else { continue };
        let arguments = vec![rooms.channel(room), dead.to_owned()];
        rooms.client.fcall::<(), _, _, _>("moyiza_bury", rooms.keys(room), arguments).await?;
    }
    strike(rooms, dead).await?;
    Ok(open.len())
}

/// Forgets a node that reads nowhere.
pub(super) async fn strike(rooms: &Rooms, node: &str) -> Result<(), RedisError> {
    rooms.client.del::<(), _>(rooms.rooms_of(node)).await?;
    rooms.client.fcall::<(), _, _, _>("moyiza_strike", vec![rooms.living()], vec![node.to_owned()]).await?;
    Ok(())
}
