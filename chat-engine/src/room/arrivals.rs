//! How subscribers come into a room: what they have missed first, then everything as it happens.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{COUNTS_PATIENCE, Output, Room, Subscriber, SubscriberId, pending};
use crate::record::Record;

/// What a subscriber is sent before it is added: records in order, complete up to the head.
#[derive(Clone, Debug)]
pub enum Past {
    /// As many older ones as it asked for.
    History(Vec<Arc<Record>>),
    /// Everything since it was here last.
    Missed(Vec<Arc<Record>>),
    /// As many older ones as it asked for, since it has missed more than is replayed.
    Lost(Vec<Arc<Record>>),
}

/// A subscriber that is not one of the room's yet.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) subscriber: Subscriber,
    /// Waits for [`Room::arrive`].
    pub(super) wants_past: bool,
}

impl Room {
    /// Somebody wants to follow the room. With `wants_past` they wait for [`arrive`](Self::arrive).
    pub fn subscribe(
        &mut self,
        subscriber: Subscriber,
        wants_past: bool,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        self.arrivals.push(Arrival { subscriber, wants_past });
        if self.replica.is_none() && !self.fetching {
            self.fetching = true;
            self.patience = Some(now + COUNTS_PATIENCE);
            out.push(Output::FetchSnapshot);
        }
        if self.is_ready() {
            self.admit(out);
        }
    }

    /// What came before those who wait for it. To be called only when the room [is ready](Self::is_ready): they are
    /// added at once, so that live records follow without a gap.
    pub fn arrive(&mut self, pasts: Vec<(SubscriberId, Past)>, now: Instant, out: &mut Vec<Output>) {
        for (_, Past::History(records) | Past::Missed(records) | Past::Lost(records)) in &pasts {
            for record in records {
                self.recall(record, now);
            }
        }
        let (mut records, mut added) = (BTreeMap::new(), Vec::new());
        let mut missed_nothing = Vec::new();
        for (id, past) in pasts {
            let Some(at) = self.arrivals.iter().position(|arrival| arrival.subscriber.id == id) else {
                continue;
            };
            added.push(self.arrivals.swap_remove(at).subscriber);
            let past = match past {
                Past::History(records) => records,
                Past::Missed(records) => {
                    missed_nothing.push(id);
                    records
                }
                Past::Lost(records) => {
                    out.push(Output::Recovered(id, false));
                    records
                }
            };
            for record in past {
                let entry = records.entry(record.seq).or_insert_with(|| (self.count(&record), Vec::new()));
                entry.1.push(id);
            }
        }
        if !records.is_empty() {
            out.push(Output::Past(records.into_values().collect()));
        }
        if !missed_nothing.is_empty() {
            // They show messages that were counted long ago. Without a replica there is a reset when it comes.
            if let Some(replica) = &self.replica {
                let steps = pending::steps_before(&self.pending, replica.steps());
                out.push(Output::ResetOf(missed_nothing.clone(), steps));
            }
            out.extend(missed_nothing.into_iter().map(|id| Output::Recovered(id, true)));
        }
        for subscriber in added {
            self.add(subscriber, out);
        }
    }

    /// Adds everybody who only waited for the room to be ready.
    pub(super) fn admit(&mut self, out: &mut Vec<Output>) {
        if self.arrivals.iter().all(|arrival| arrival.wants_past) {
            return;
        }
        let (waiting, ready) =
            std::mem::take(&mut self.arrivals).into_iter().partition(|arrival| arrival.wants_past);
        self.arrivals = waiting;
        for Arrival { subscriber, .. } in ready {
            self.add(subscriber, out);
        }
    }

    fn add(&mut self, subscriber: Subscriber, out: &mut Vec<Output>) {
        // Known here before the authority says that they read.
        let is_reading = self.is_reading(subscriber.user);
        let replica = self.replica.as_ref().filter(|_| !is_reading);
        let stands = replica.and_then(|replica| replica.position(subscriber.user));
        self.subscribers.insert(subscriber.id, subscriber);
        out.push(Output::Added(subscriber.id, stands));
        if subscriber.reads {
            let reader = self.readers.entry(subscriber.user).or_default();
            reader.subscriptions += 1;
            if reader.subscriptions == 1 {
                out.push(Output::Enter(subscriber.user));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        RoomId, Seq,
        testing::{seq, user},
    };

    use super::*;
    use crate::reading::{Life, Snapshot};

    #[test]
    fn where_somebody_stopped_is_told_to_the_first_of_their_subscriptions_that_reads() {
        let (now, mut out) = (Instant::now(), Vec::new());
        let mut room = Room::new(RoomId::try_from(1).unwrap(), Seq::ZERO);
        let subscriber = |id, reads| Subscriber { id: SubscriberId(id), user: user(1), reads };
        room.subscribe(subscriber(1, false), false, now, &mut out);
        room.subscribe(subscriber(2, true), false, now, &mut out);
        room.subscribe(subscriber(3, true), false, now, &mut out);
        assert_eq!(std::mem::take(&mut out), [Output::FetchSnapshot]);
        let positions = vec![(user(1), seq(4))];
        room.snapshot(Snapshot { life: Life(1), version: 5, positions }, now, &mut out);
        // The authority has not said yet that they read.
        room.subscribe(subscriber(4, true), false, now, &mut out);
        let added = |id, stands: Option<i64>| Output::Added(SubscriberId(id), stands.map(seq));
        let enter = Output::Enter(user(1));
        assert_eq!(out, [added(1, Some(4)), added(2, Some(4)), enter, added(3, None), added(4, None)]);
    }
}
