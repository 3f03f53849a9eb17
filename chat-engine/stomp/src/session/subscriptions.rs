//! A connection's subscriptions, by the client's names for them.

use std::{collections::VecDeque, sync::Arc};

use bytestring::ByteString;
use parking_lot::Mutex;

use super::Violation;
use crate::{Ack, Acknowledgement, Subscribe, Unacknowledged};

/// The messages of a subscription that wait for an answer: whoever delivers notes them, the session answers them.
pub type SharedUnacknowledged = Arc<Mutex<Unacknowledged>>;

/// What an ACK or NACK came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<S> {
    /// Of which subscription.
    pub subscription: S,
    /// Every message up to here has been consumed; `None` if that did not move.
    pub through: Option<u64>,
}

/// Sorted by name: the least memory for the one or two that most connections have, and no scan for hundreds.
#[derive(Debug)]
pub(super) struct Subscriptions<S> {
    open: Vec<Entry<S>>,
    /// Names of the last that ended while messages may have waited for an answer: a client that stops may have an ACK
    /// on its way.
    ended: VecDeque<Box<str>>,
    /// Names of the last that the server ended, or did not let begin: the client may have an UNSUBSCRIBE on its way.
    taken_back: VecDeque<Box<str>>,
}

/// Ended subscriptions that are remembered, of each kind.
const ENDED: usize = 16;

fn remember(names: &mut VecDeque<Box<str>>, name: Box<str>) {
    if names.len() == ENDED {
        names.pop_front();
    }
    names.push_back(name);
}

#[derive(Debug)]
struct Entry<S> {
    /// The `id`, or else the destination (1.0 only).
    name: Box<str>,
    unacknowledged: Option<SharedUnacknowledged>,
    data: S,
}

impl<S> Default for Subscriptions<S> {
    fn default() -> Self {
        Self { open: Vec::new(), ended: VecDeque::new(), taken_back: VecDeque::new() }
    }
}

impl<S: Clone> Subscriptions<S> {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.open.binary_search_by(|entry| (*entry.name).cmp(name))
    }

    /// Whether there is room for this one.
    pub(super) fn check(&self, subscribe: &Subscribe, limit: usize) -> Result<(), Violation> {
        if self.find(subscribe.name()).is_ok() {
            return Err(Violation::SubscriptionTaken(subscribe.name().clone()));
        }
        if self.open.len() >= limit {
            return Err(Violation::TooManySubscriptions(limit));
        }
        Ok(())
    }

    pub(super) fn insert(
        &mut self,
        subscribe: &Subscribe,
        data: S,
        limit: usize,
    ) -> Option<SharedUnacknowledged> {
        let name = subscribe.name();
        // An UNSUBSCRIBE from now on is this one's.
        self.taken_back.retain(|ended| **ended != **name);
        let unacknowledged = (subscribe.ack != Ack::Auto)
            .then(|| Arc::new(Mutex::new(Unacknowledged::new(subscribe.ack, limit))));
        let entry = Entry { name: (**name).into(), unacknowledged: unacknowledged.clone(), data };
        if self.open.is_empty() {
            // Most have one: room for four would be held for nothing.
            self.open.reserve_exact(1);
        }
        match self.find(name) {
            Ok(at) => self.open[at] = entry,
            Err(at) => self.open.insert(at, entry),
        }
        unacknowledged
    }

    pub(super) fn forget(&mut self, subscribe: &Subscribe) -> Option<S> {
        self.remove(subscribe.name()).ok()
    }

    pub(super) fn remove(&mut self, name: &ByteString) -> Result<S, Violation> {
        let at = self.find(name).map_err(|_| Violation::NoSubscription(name.clone()))?;
        let Entry { name, unacknowledged, data } = self.open.remove(at);
        if unacknowledged.is_some() {
            remember(&mut self.ended, name);
        }
        Ok(data)
    }

    /// The server ends a subscription.
    pub(super) fn take_back(&mut self, name: &ByteString) -> Option<S> {
        let data = self.remove(name).ok()?;
        remember(&mut self.taken_back, (**name).into());
        Some(data)
    }

    /// The server lets a subscription not begin.
    pub(super) fn turn_down(&mut self, name: &ByteString) {
        // One that is open is another's; and a client may ask in vain again and again.
        if self.find(name).is_err() && !self.taken_back.iter().any(|ended| **ended == **name) {
            remember(&mut self.taken_back, (**name).into());
        }
    }

    /// Whether the server ended a subscription of that name, and the client has not said so itself since.
    pub(super) fn was_taken_back(&mut self, name: &ByteString) -> bool {
        let at = self.taken_back.iter().position(|ended| **ended == **name);
        at.and_then(|at| self.taken_back.remove(at)).is_some()
    }

    /// `None` for a subscription that has ended: nobody waits for its answers.
    pub(super) fn answer(&self, asked: &Acknowledgement) -> Result<Option<Answered<S>>, Violation> {
        let not_delivered = || Violation::NotDelivered(asked.message.clone());
        let message: u64 = asked.message.parse().map_err(|_| not_delivered())?;
        let ended = |name: &ByteString| self.ended.iter().any(|ended| **ended == **name);
        if asked.subscription.as_ref().is_some_and(|name| self.find(name).is_err() && ended(name)) {
            return Ok(None);
        }
        let candidates = match &asked.subscription {
            Some(name) => {
                let at = self.find(name).map_err(|_| Violation::NoSubscription(name.clone()))?;
                &self.open[at..=at]
            }
            None => &self.open[..],
        };
        let noted = |entry: &Entry<S>| entry.unacknowledged.clone();
        let waits = |entry: &&Entry<S>| noted(entry).is_some_and(|noted| noted.lock().waits_for(message));
        let answer = |entry: &Entry<S>| {
            let through = noted(entry)?.lock().answer(message, asked.negative).ok()?;
            Some(Answered { subscription: entry.data.clone(), through })
        };
        // Where no subscription is named, one that waits for this comes before one that has had it.
        let mut in_order = candidates.iter().find(waits).into_iter().chain(candidates);
        in_order.find_map(answer).map(Some).ok_or_else(not_delivered)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &S)> {
        self.open.iter().map(|entry| (&*entry.name, &entry.data))
    }

    pub(super) fn into_data(self) -> Vec<S> {
        self.open.into_iter().map(|entry| entry.data).collect()
    }
}
