//! What a subscription with `ack:client` or `ack:client-individual` was sent and has not answered.

use std::collections::VecDeque;

use crate::Ack;

/// What an ACK or NACK is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The message of that number.
    Message(u64),
    /// Something that is no message and came behind the one of that number. Nothing waits for its answer; with `client`
    /// it is one to what came before it.
    Behind(u64),
}

impl Delivery {
    /// Reads a `message-id`: a number, or a number, a dot, and what tells those behind one message apart.
    pub fn parse(id: &str) -> Option<Self> {
        match id.split_once('.') {
            Some((number, _)) => number.parse().ok().map(Self::Behind),
            None => id.parse().ok().map(Self::Message),
        }
    }
}

/// A message that was never delivered on the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDelivered;

/// There are as many unanswered messages as are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// The delivered messages of one subscription, by `message-id`, which only grows.
///
/// `client` is cumulative: an answer to a message is one to all before it. With `client-individual` each message
/// has its own answer, and they may come in any order.
#[derive(Debug)]
pub struct Unacknowledged {
    cumulative: bool,
    /// How many may wait, each of them being kept; `None` where none is.
    limit: Option<usize>,
    /// Delivered messages from the first unanswered one on, and whether each has been consumed.
    delivered: VecDeque<(u64, bool)>,
    /// Those that have not been.
    waiting: usize,
    /// The first that was delivered.
    first: Option<u64>,
    /// The last that was sent.
    last: Option<u64>,
    /// The last behind which something else was sent.
    told: Option<u64>,
    /// With `client`: the last that was answered.
    answered: Option<u64>,
    /// Every message up to here was consumed.
    through: Option<u64>,
    /// With `client-individual`: the first message that was refused. The unbroken run ends before it for good: a message is
    /// answered once, so nothing can close the gap.
    refused: Option<u64>,
}

impl Unacknowledged {
    /// For a subscription with this `ack`, which is not `auto`. At most `limit` messages may wait for an answer.
    pub fn new(ack: Ack, limit: usize) -> Self {
        Self { limit: Some(limit), ..Self::unlimited(ack == Ack::Client) }
    }

    /// For a subscription with `client` of which any number may wait for an answer: nothing is kept of them, so an answer
    /// to any number up to the last is taken for one to a message.
    pub fn cumulative() -> Self {
        Self::unlimited(true)
    }

    fn unlimited(cumulative: bool) -> Self {
        Self {
            cumulative,
            limit: None,
            delivered: VecDeque::new(),
            waiting: 0,
            first: None,
            last: None,
            told: None,
            answered: None,
            through: None,
            refused: None,
        }
    }

    /// A message is on its way to the client.
    pub fn deliver(&mut self, message: u64) -> Result<(), TooMany> {
        if let Some(limit) = self.limit {
            if self.waiting >= limit {
                return Err(TooMany);
            }
            if self.delivered.len() / 2 >= limit {
                // One message that is never answered must not keep all that were. The run's end then falls behind: it
                // is a promise of what was consumed, not of what was not.
                self.delivered.retain(|(_, consumed)| !consumed);
            }
            self.waiting += 1;
            self.delivered.push_back((message, false));
        }
        self.first.get_or_insert(message);
        self.show(message);
        Ok(())
    }

    /// A message is on its way that need not be answered, and may have been delivered before.
    pub fn show(&mut self, message: u64) {
        self.last = self.last.max(Some(message));
    }

    /// Something else is on its way, behind that message.
    pub fn tell(&mut self, behind: u64) {
        self.told = self.told.max(Some(behind));
    }

    /// The client's ACK (or NACK, if `negative`). Returns the message up to which everything has been consumed, if that
    /// moved. An answer that was given before changes nothing.
    pub fn answer(&mut self, delivery: Delivery, negative: bool) -> Result<Option<u64>, NotDelivered> {
        if !self.has_sent(delivery) {
            return Err(NotDelivered);
        }
        let before = self.through;
        match delivery {
            Delivery::Message(message) if self.cumulative => self.answer_through(message, negative),
            Delivery::Message(message) => self.answer_one(message, negative),
            // Before the first there was nothing, wherever the room stood.
            Delivery::Behind(message)
                if self.cumulative && self.first.is_some_and(|first| first <= message) =>
            {
                self.answer_through(self.last.unwrap_or(message).min(message), negative);
            }
            Delivery::Behind(_) => {}
        }
        Ok(if self.through == before { None } else { self.through })
    }

    fn answer_through(&mut self, message: u64, negative: bool) {
        if self.answered.is_some_and(|answered| message <= answered) {
            return;
        }
        self.answered = Some(message);
        let answered = self.delivered.iter().take_while(|(id, _)| *id <= message).count();
        self.delivered.drain(..answered);
        self.waiting -= answered;
        if !negative {
            self.through = Some(message);
        }
    }

    fn answer_one(&mut self, message: u64, negative: bool) {
        let Ok(at) = self.delivered.binary_search_by_key(&message, |(id, _)| *id) else { return };
        if !self.delivered[at].1 {
            self.waiting -= 1;
            if negative {
                self.delivered.remove(at);
                self.refused = Some(self.refused.map_or(message, |first| first.min(message)));
            } else {
                self.delivered[at].1 = true;
            }
        }
        self.advance();
    }

    /// Drops the consumed messages at the front, and moves the end of the unbroken run.
    fn advance(&mut self) {
        while let Some((message, true)) = self.delivered.front().copied() {
            self.delivered.pop_front();
            if self.refused.is_none_or(|refused| message < refused) {
                self.through = Some(message);
            }
        }
    }

    /// Whether the subscription has been sent as much.
    pub fn has_sent(&self, delivery: Delivery) -> bool {
        match delivery {
            Delivery::Message(message) => self.last.is_some_and(|last| message <= last),
            Delivery::Behind(message) => self.told.is_some_and(|told| message <= told),
        }
    }

    /// Whether this is a message that is kept until it is answered.
    pub fn waits_for(&self, delivery: Delivery) -> bool {
        let Delivery::Message(message) = delivery else { return false };
        let at = self.delivered.binary_search_by_key(&message, |(id, _)| *id);
        at.is_ok_and(|at| !self.delivered[at].1)
    }

    /// How many messages are kept until they are answered.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(ack: Ack) -> Unacknowledged {
        let mut messages = Unacknowledged::new(ack, 5);
        (1..=5).for_each(|message| messages.deliver(message * 10).unwrap());
        messages
    }

    fn ack(messages: &mut Unacknowledged, message: u64) -> Option<u64> {
        messages.answer(Delivery::Message(message), false).unwrap()
    }

    fn nack(messages: &mut Unacknowledged, message: u64) -> Option<u64> {
        messages.answer(Delivery::Message(message), true).unwrap()
    }

    #[test]
    fn client_is_cumulative() {
        let mut messages = delivered(Ack::Client);
        assert_eq!(ack(&mut messages, 30), Some(30));
        assert_eq!(messages.waiting(), 2);
        // Answered already.
        assert_eq!(ack(&mut messages, 10), None);
        assert_eq!(nack(&mut messages, 40), None);
        assert_eq!(messages.waiting(), 1);
        assert_eq!(ack(&mut messages, 50), Some(50));
    }

    #[test]
    fn client_individual_is_not() {
        let mut messages = delivered(Ack::ClientIndividual);
        assert_eq!(ack(&mut messages, 20), None);
        assert_eq!(messages.waiting(), 4);
        assert_eq!(ack(&mut messages, 10), Some(20));
        assert_eq!(nack(&mut messages, 30), None);
        // What was refused breaks the run.
        assert_eq!(ack(&mut messages, 40), None);
        assert_eq!(messages.waiting(), 1);
    }

    #[test]
    fn only_what_was_delivered_is_answered() {
        let answer = |mut messages: Unacknowledged, delivery| messages.answer(delivery, false);
        assert_eq!(answer(delivered(Ack::Client), Delivery::Message(51)), Err(NotDelivered));
        assert_eq!(answer(delivered(Ack::Client), Delivery::Behind(10)), Err(NotDelivered));
        assert_eq!(answer(Unacknowledged::new(Ack::Client, 5), Delivery::Message(1)), Err(NotDelivered));
        assert_eq!(answer(Unacknowledged::cumulative(), Delivery::Message(1)), Err(NotDelivered));
    }

    #[test]
    fn unanswered_messages_are_bounded() {
        let mut messages = delivered(Ack::Client);
        assert_eq!(messages.deliver(60), Err(TooMany));
        ack(&mut messages, 10);
        assert_eq!(messages.deliver(60), Ok(()));
    }

    #[test]
    fn one_message_that_is_never_answered_does_not_stand_in_the_way() {
        let mut messages = Unacknowledged::new(Ack::ClientIndividual, 5);
        messages.deliver(1).unwrap();
        for message in 2..=1_000 {
            messages.deliver(message).unwrap();
            messages.answer(Delivery::Message(message), message % 2 == 0).unwrap();
            assert_eq!(messages.waiting(), 1);
            assert!(messages.delivered.len() <= 11);
        }
        // Not everything up to 1,000: what was refused breaks the run.
        assert_eq!(ack(&mut messages, 1), Some(1));
        assert_eq!(messages.waiting(), 0);
    }

    #[test]
    fn where_any_number_may_wait_nothing_is_kept() {
        let mut messages = Unacknowledged::cumulative();
        (1..=100_000).for_each(|message| messages.deliver(message).unwrap());
        assert_eq!((messages.waiting(), messages.delivered.capacity()), (0, 0));
        assert_eq!(ack(&mut messages, 70_000), Some(70_000));
        assert_eq!(ack(&mut messages, 60_000), None);
        assert_eq!(nack(&mut messages, 80_000), None);
        // Refused, and said again.
        assert_eq!(ack(&mut messages, 75_000), None);
        assert_eq!(ack(&mut messages, 90_000), Some(90_000));
    }

    #[test]
    fn what_is_only_shown_breaks_no_run() {
        let mut messages = Unacknowledged::new(Ack::ClientIndividual, 5);
        messages.deliver(10).unwrap();
        messages.show(11);
        messages.deliver(12).unwrap();
        // Looking back: some of that was delivered before.
        (1..=12).for_each(|message| messages.show(message));
        assert_eq!(ack(&mut messages, 11), None);
        assert_eq!(ack(&mut messages, 5), None);
        assert_eq!(ack(&mut messages, 12), None);
        assert_eq!(ack(&mut messages, 10), Some(12));
        assert_eq!(messages.answer(Delivery::Message(13), false), Err(NotDelivered));
    }

    #[test]
    fn what_was_shown_is_read_by_an_answer_to_it() {
        let mut messages = Unacknowledged::cumulative();
        messages.show(7);
        assert_eq!(ack(&mut messages, 7), Some(7));
    }

    #[test]
    fn an_answer_to_an_event_is_one_to_what_came_before_it() {
        let behind = |messages: &mut Unacknowledged, number| messages.answer(Delivery::Behind(number), false);
        let mut messages = Unacknowledged::cumulative();
        messages.tell(9);
        // Nothing came before it.
        assert_eq!(behind(&mut messages, 9), Ok(None));
        messages.deliver(10).unwrap();
        assert_eq!(behind(&mut messages, 9), Ok(None));
        assert_eq!(behind(&mut messages, 10), Err(NotDelivered));
        // The room is past records that nobody was to see.
        messages.tell(12);
        assert_eq!(behind(&mut messages, 12), Ok(Some(10)));
        let mut each = Unacknowledged::new(Ack::ClientIndividual, 5);
        each.deliver(10).unwrap();
        each.tell(10);
        assert_eq!((behind(&mut each, 10), each.waiting()), (Ok(None), 1));
    }

    #[test]
    fn ids_are_numbers_with_or_without_more() {
        assert_eq!(Delivery::parse("17"), Some(Delivery::Message(17)));
        assert_eq!(Delivery::parse("17.3"), Some(Delivery::Behind(17)));
        for wrong in ["", ".", ".3", "x", "x.3", "-1", "18446744073709551616", "18446744073709551616.1"] {
            assert_eq!(Delivery::parse(wrong), None, "{wrong}");
        }
    }
}
