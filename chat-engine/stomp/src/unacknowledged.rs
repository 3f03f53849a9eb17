//! What a subscription with `ack:client` or `ack:client-individual` was sent and has not answered.

use std::collections::VecDeque;

use crate::Ack;

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
    limit: usize,
    /// Delivered messages from the first unanswered one on, and whether each has been consumed.
    delivered: VecDeque<(u64, bool)>,
    /// Those that have not been.
    waiting: usize,
    last: Option<u64>,
    /// Every message up to here was consumed.
    through: Option<u64>,
    /// The first message that was refused: the unbroken run ends before it, until a cumulative ACK covers it.
    refused: Option<u64>,
}

impl Unacknowledged {
    /// For a subscription with this `ack`, which is not `auto`. At most `limit` messages may wait for an answer.
    pub fn new(ack: Ack, limit: usize) -> Self {
        let cumulative = ack == Ack::Client;
        let delivered = VecDeque::new();
        Self { cumulative, limit, delivered, waiting: 0, last: None, through: None, refused: None }
    }

    /// A message is on its way to the client.
    pub fn deliver(&mut self, message: u64) -> Result<(), TooMany> {
        if self.waiting >= self.limit {
            return Err(TooMany);
        }
        if self.delivered.len() / 2 >= self.limit {
            // One message that is never answered must not keep all that were. The run's end then falls behind: it
            // is a promise of what was consumed, not of what was not.
            self.delivered.retain(|(_, consumed)| !consumed);
        }
        self.waiting += 1;
        self.delivered.push_back((message, false));
        self.last = Some(message);
        Ok(())
    }

    /// The client's ACK (or NACK, if `negative`) of a message. Returns the message up to which everything has been
    /// consumed, if that moved. An answer that was given before changes nothing.
    pub fn answer(&mut self, message: u64, negative: bool) -> Result<Option<u64>, NotDelivered> {
        if self.last.is_none_or(|last| message > last) {
            return Err(NotDelivered);
        }
        let before = self.through;
        if self.cumulative {
            let answered = self.delivered.iter().take_while(|(id, _)| *id <= message).count();
            if answered > 0 {
                self.delivered.drain(..answered);
                self.waiting -= answered;
                if !negative {
                    self.through = Some(message);
                }
            }
        } else if let Ok(at) = self.delivered.binary_search_by_key(&message, |(id, _)| *id) {
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
        Ok(if self.through == before { None } else { self.through })
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

    /// Whether this message waits for an answer.
    pub fn waits_for(&self, message: u64) -> bool {
        let at = self.delivered.binary_search_by_key(&message, |(id, _)| *id);
        at.is_ok_and(|at| !self.delivered[at].1)
    }

    /// How many messages wait for an answer.
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

    #[test]
    fn client_is_cumulative() {
        let mut messages = delivered(Ack::Client);
        assert_eq!(messages.answer(30, false), Ok(Some(30)));
        assert_eq!(messages.waiting(), 2);
        // Answered already.
        assert_eq!(messages.answer(10, false), Ok(None));
        assert_eq!(messages.answer(40, true), Ok(None));
        assert_eq!(messages.waiting(), 1);
        assert_eq!(messages.answer(50, false), Ok(Some(50)));
    }

    #[test]
    fn client_individual_is_not() {
        let mut messages = delivered(Ack::ClientIndividual);
        assert_eq!(messages.answer(20, false), Ok(None));
        assert_eq!(messages.waiting(), 4);
        assert_eq!(messages.answer(10, false), Ok(Some(20)));
        assert_eq!(messages.answer(30, true), Ok(None));
        // What was refused breaks the run.
        assert_eq!(messages.answer(40, false), Ok(None));
        assert_eq!(messages.waiting(), 1);
    }

    #[test]
    fn only_what_was_delivered_is_answered() {
        assert_eq!(delivered(Ack::Client).answer(51, false), Err(NotDelivered));
        assert_eq!(Unacknowledged::new(Ack::Client, 5).answer(1, false), Err(NotDelivered));
    }

    #[test]
    fn unanswered_messages_are_bounded() {
        let mut messages = delivered(Ack::Client);
        assert_eq!(messages.deliver(60), Err(TooMany));
        messages.answer(10, false).unwrap();
        assert_eq!(messages.deliver(60), Ok(()));
    }

    #[test]
    fn one_message_that_is_never_answered_does_not_stand_in_the_way() {
        let mut messages = Unacknowledged::new(Ack::ClientIndividual, 5);
        messages.deliver(1).unwrap();
        for message in 2..=1_000 {
            messages.deliver(message).unwrap();
            messages.answer(message, message % 2 == 0).unwrap();
            assert_eq!(messages.waiting(), 1);
            assert!(messages.delivered.len() <= 11);
        }
        // Not everything up to 1,000: what was refused breaks the run.
        assert_eq!(messages.answer(1, false), Ok(Some(1)));
        assert_eq!(messages.waiting(), 0);
    }
}
