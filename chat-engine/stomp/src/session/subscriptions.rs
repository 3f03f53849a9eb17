//! A connection's subscriptions, by the client's names for them.

use std::{collections::VecDeque, sync::Arc};

use bytestring::ByteString;
use parking_lot::Mutex;

use super::Violation;
use crate::{Acknowledgement, Delivery, Subscribe, Unacknowledged};

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

impl<S: Clone> Entry<S> {
    fn has_sent(&self, delivery: Delivery) -> bool {
        self.unacknowledged.as_ref().is_some_and(|messages| messages.lock().has_sent(delivery))
    }

    fn waits_for(&self, delivery: Delivery) -> bool {
        self.unacknowledged.as_ref().is_some_and(|messages| messages.lock().waits_for(delivery))
    }

    /// `None` if it was never sent that.
    fn answer(&self, delivery: Delivery, negative: bool) -> Option<Answered<S>> {
        let through = self.unacknowledged.as_ref()?.lock().answer(delivery, negative).ok()?;
        Some(Answered { subscription: self.data.clone(), through })
    }
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
        unacknowledged: Option<Unacknowledged>,
    ) -> Option<SharedUnacknowledged> {
        let name = subscribe.name();
        // An UNSUBSCRIBE from now on is this one's.
        self.taken_back.retain(|ended| **ended != **name);
        let unacknowledged = unacknowledged.map(|messages| Arc::new(Mutex::new(messages)));
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

    /// `None` where nobody waits for it: the subscription has ended.
    pub(super) fn answer(&self, asked: &Acknowledgement) -> Result<Option<Answered<S>>, Violation> {
        let not_delivered = || Violation::NotDelivered(asked.message.clone());
        let delivery = Delivery::parse(&asked.message).ok_or_else(not_delivered)?;
        let Some(name) = &asked.subscription else {
            let waiting = self.open.iter().find(|entry| entry.waits_for(delivery));
            return match waiting.or_else(|| self.only_one()) {
                Some(entry) => entry.answer(delivery, asked.negative).map(Some).ok_or_else(not_delivered),
                // Somebody's that waits for nothing: to guess whose might answer what is another's.
                None if self.open.iter().any(|entry| entry.has_sent(delivery)) => Ok(None),
                None => Err(not_delivered()),
            };
        };
        match self.find(name) {
            Ok(at) => self.open[at].answer(delivery, asked.negative).map(Some).ok_or_else(not_delivered),
            Err(_) if self.ended.iter().any(|ended| **ended == **name) => Ok(None),
            Err(_) => Err(Violation::NoSubscription(name.clone())),
        }
    }

    /// The subscription that every answer is for, if there has been no other.
    fn only_one(&self) -> Option<&Entry<S>> {
        let mut answered = self.open.iter().filter(|entry| entry.unacknowledged.is_some());
        let first = answered.next();
        first.filter(|_| answered.next().is_none() && self.ended.is_empty())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &S)> {
        self.open.iter().map(|entry| (&*entry.name, &entry.data))
    }

    pub(super) fn into_data(self) -> Vec<S> {
        self.open.into_iter().map(|entry| entry.data).collect()
    }
}
