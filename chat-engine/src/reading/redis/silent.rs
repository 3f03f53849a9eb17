//! A change that never came shows at the next one's version; in a room that is silent from then on, only by asking. Every
//! open room is asked for its version, a few at a time, so that neither Redis nor this node notices.

use std::{collections::BTreeSet, ops::Bound, sync::Arc, time::Duration};

use fred::{interfaces::FunctionInterface as _, types::Value};
use parking_lot::Mutex;
use shared::RoomId;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{RedisError, Rooms, calls::Call};
use crate::reading::Life;

/// Turns in which all rooms are asked once.
const TURNS: u32 = 64;

/// Rooms whose changes come to this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Followed(Arc<Mutex<BTreeSet<RoomId>>>);

impl Followed {
    pub(super) fn add(&self, room: RoomId) {
        self.0.lock().insert(room);
    }

    pub(super) fn remove(&self, room: RoomId) {
        self.0.lock().remove(&room);
    }

    /// The rooms of a turn: those behind the last one of the turn before, and at the end the first ones again.
    fn turn(&self, last: Option<RoomId>) -> Vec<RoomId> {
        let rooms = self.0.lock();
        let count = rooms.len().div_ceil(TURNS as usize);
        let rest = last.map(|last| rooms.range((Bound::Excluded(last), Bound::Unbounded)));
        rest.into_iter().flatten().chain(rooms.iter()).take(count).copied().collect()
    }
}

/// Asks every room once in `interval`, for as long as there is somebody to make calls.
pub(super) async fn ask(
    rooms: Rooms,
    followed: Followed,
    interval: Duration,
    calls: mpsc::WeakUnboundedSender<Call>,
) {
    let mut turns = tokio::time::interval(interval / TURNS);
    // A Redis that was away is not asked for all at once.
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    while calls.strong_count() > 0 {
        turns.tick().await;
        let turn = followed.turn(last);
        last = turn.last().copied();
        if let Err(error) = ask_these(&rooms, &turn).await {
            tracing::debug!(%error, "rooms are not asked for what they have");
        }
    }
}

async fn ask_these(rooms: &Rooms, turn: &[RoomId]) -> Result<(), RedisError> {
    let pipeline = rooms.client.pipeline();
    for room in turn {
        let (keys, arguments) = (rooms.keys(*room), rooms.arguments(*room, []));
        pipeline.fcall::<(), _, _, _>("moyiza_version", keys, arguments).await?;
    }
    let answers: Vec<Value> = pipeline.all().await?;
    for (room, answer) in turn.iter().zip(answers) {
        match &answer {
            Value::Array(words) => {
                if let Some((life, version)) = parse(words) {
                    rooms.shards.latest(*room, life, version);
                }
            }
            // Loaded, it has a new life, of which everybody hears who follows it.
            refusal => rooms.make_way(*room, refusal).await?,
        }
    }
    Ok(())
}

fn parse(words: &[Value]) -> Option<(Life, u64)> {
    let [life, version] = words else { return None };
    Some((Life(life.as_str()?.parse().ok()?), version.as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_has_its_turn_whoever_comes_and_goes() {
        let followed = Followed::default();
        let room = |id: i64| RoomId::try_from(id).unwrap();
        (1..=200).for_each(|id| followed.add(room(id)));
        let (mut last, mut asked) = (None, BTreeSet::new());
        for turn in 0..TURNS {
            let rooms = followed.turn(last);
            assert_eq!(rooms.len(), 4, "as many in each turn");
            last = rooms.last().copied();
            asked.extend(rooms);
            // Somebody leaves the one that was the last.
            if turn == 5
                && let Some(last) = last
            {
                followed.remove(last);
                followed.add(last);
            }
        }
        assert_eq!(asked.len(), 200);
        let nobody = Followed::default();
        assert_eq!(nobody.turn(last), []);
        nobody.add(room(1));
        assert_eq!(nobody.turn(last), [room(1)]);
    }
}
