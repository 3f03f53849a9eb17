//! Checks every delivery: nothing lost, nothing twice, each sender's messages in their order, no other room's.
//!
//! A room numbers its messages in the order in which they are sent. What a subscriber has had is one number up
//! to which everything came, and the few that came ahead of it: so a check costs no look-up as long as all is
//! well, and a subscriber no memory for each sender.

use std::collections::{BTreeSet, VecDeque};

use crate::{fault::FaultKind, mark::Mark};

/// A room's messages that have not reached everybody yet.
#[derive(Debug)]
pub struct Room {
    index: u32,
    /// The number of the first of `messages`.
    first: u64,
    messages: VecDeque<Message>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    sender: u32,
    /// Subscribers who have not had it.
    waiting: u32,
}

/// What one subscriber has had.
#[derive(Clone, Debug)]
pub struct Follower {
    room: u32,
    /// Everything below it came.
    next: u64,
    /// What came above it.
    ahead: BTreeSet<u64>,
}

/// What a delivery means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// What was wrong with it.
    pub fault: Option<FaultKind>,
    /// Everybody has the message now.
    pub completed: bool,
}

impl Delivery {
    const fn wrong(fault: FaultKind) -> Self {
        Self { fault: Some(fault), completed: false }
    }
}

impl Room {
    /// A room without messages.
    pub fn new(index: u32) -> Self {
        Self { index, first: 0, messages: VecDeque::new() }
    }

    /// Somebody who follows it from its next message on.
    pub fn follower(&self) -> Follower {
        Follower { room: self.index, next: self.end(), ahead: BTreeSet::new() }
    }

    /// A message is sent to `subscribers` people: its number.
    pub fn send(&mut self, sender: u32, subscribers: u32) -> u64 {
        self.messages.push_back(Message { sender, waiting: subscribers });
        self.end() - 1
    }

    /// Messages that have not reached everybody.
    pub fn in_flight(&self) -> usize {
        self.messages.iter().filter(|message| message.waiting > 0).count()
    }

    /// The number of the message to be sent next.
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    fn message(&mut self, number: u64) -> Option<&mut Message> {
        self.messages.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// A message came.
    pub fn deliver(&mut self, follower: &mut Follower, mark: &Mark) -> Delivery {
        if mark.room != self.index || follower.room != self.index {
            return Delivery::wrong(FaultKind::WrongRoom);
        }
        if mark.number >= self.end() {
            return Delivery::wrong(FaultKind::Altered);
        }
        if !follower.is_missing(mark.number) {
            return Delivery::wrong(FaultKind::Repeated);
        }
        // The follower has not had it, so it has not reached everybody and is still there.
        let Some(message) = self.message(mark.number) else { return Delivery::wrong(FaultKind::Altered) };
        if message.sender != mark.sender {
            return Delivery::wrong(FaultKind::Altered);
        }
        message.waiting -= 1;
        let completed = message.waiting == 0;
        // Of one that came before it, this follower still lacks this one: so it is still there to be asked.
        let overtaken = follower
            .ahead
            .range(mark.number..)
            .any(|&later| self.message(later).is_some_and(|later| later.sender == mark.sender));
        follower.take(mark.number);
        self.forget_completed();
        Delivery { fault: overtaken.then_some(FaultKind::Reordered), completed }
    }

    /// A subscriber is gone; nothing is expected of it. How many messages have reached everybody by that.
    pub fn leave(&mut self, follower: &Follower) -> usize {
        let missing: Vec<u64> = self.missing(follower).collect();
        let mut completed = 0;
        for number in missing {
            if let Some(message) = self.message(number) {
                message.waiting -= 1;
                completed += usize::from(message.waiting == 0);
            }
        }
        self.forget_completed();
        completed
    }

    /// The messages that a follower has not had.
    pub fn missing<'a>(&self, follower: &'a Follower) -> impl Iterator<Item = u64> + 'a {
        (follower.next..self.end()).filter(|number| !follower.ahead.contains(number))
    }

    fn forget_completed(&mut self) {
        while self.messages.front().is_some_and(|message| message.waiting == 0) {
            self.messages.pop_front();
            self.first += 1;
        }
    }
}

impl Follower {
    fn is_missing(&self, number: u64) -> bool {
        number >= self.next && !self.ahead.contains(&number)
    }

    fn take(&mut self, number: u64) {
        if number != self.next {
            self.ahead.insert(number);
            return;
        }
        self.next += 1;
        while self.ahead.first() == Some(&self.next) {
            self.ahead.pop_first();
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FINE: Delivery = Delivery { fault: None, completed: false };
    const COMPLETED: Delivery = Delivery { fault: None, completed: true };

    fn mark(sender: u32, number: u64) -> Mark {
        Mark { room: 3, sender, number, sent: Duration::ZERO }
    }

    /// A room with two followers, and messages of these senders on their way.
    fn room(senders: &[u32]) -> (Room, Follower, Follower) {
        let mut room = Room::new(3);
        let followers = (room.follower(), room.follower());
        for &sender in senders {
            room.send(sender, 2);
        }
        (room, followers.0, followers.1)
    }

    #[test]
    fn a_message_is_complete_when_everybody_has_it() {
        let (mut room, mut one, mut two) = room(&[0, 1]);
        assert_eq!(room.deliver(&mut one, &mark(0, 0)), FINE);
        assert_eq!(room.deliver(&mut two, &mark(0, 0)), COMPLETED);
        assert_eq!(room.in_flight(), 1);
        assert_eq!(room.deliver(&mut two, &mark(1, 1)), FINE);
        assert_eq!(room.deliver(&mut one, &mark(1, 1)), COMPLETED);
        assert_eq!(room.in_flight(), 0);
    }

    #[test]
    fn a_repeat_is_seen_at_once_and_long_after() {
        let (mut room, mut one, mut two) = room(&[0, 1, 0]);
        room.deliver(&mut one, &mark(0, 0));
        assert_eq!(room.deliver(&mut one, &mark(0, 0)).fault, Some(FaultKind::Repeated));
        room.deliver(&mut two, &mark(0, 0));
        assert_eq!(room.deliver(&mut one, &mark(0, 0)).fault, Some(FaultKind::Repeated));
        room.deliver(&mut one, &mark(0, 2));
        assert_eq!(room.deliver(&mut one, &mark(0, 2)).fault, Some(FaultKind::Repeated));
    }

    #[test]
    fn only_the_order_of_one_sender_counts() {
        let (mut room, mut one, mut two) = room(&[0, 1, 0]);
        assert_eq!(room.deliver(&mut one, &mark(1, 1)), FINE);
        assert_eq!(room.deliver(&mut one, &mark(0, 0)), FINE);
        assert_eq!(room.deliver(&mut one, &mark(0, 2)), FINE);
        assert_eq!(room.deliver(&mut two, &mark(0, 2)).fault, None);
        assert_eq!(room.deliver(&mut two, &mark(0, 0)).fault, Some(FaultKind::Reordered));
        assert_eq!(room.deliver(&mut two, &mark(1, 1)), COMPLETED);
    }

    #[test]
    fn what_did_not_come_is_missing() {
        let (mut room, mut one, two) = room(&[0, 1, 0, 1]);
        room.deliver(&mut one, &mark(0, 0));
        room.deliver(&mut one, &mark(0, 2));
        assert_eq!(room.missing(&one).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(room.missing(&two).count(), 4);
    }

    #[test]
    fn who_left_is_not_waited_for() {
        let (mut room, mut one, mut two) = room(&[0, 1, 0]);
        room.deliver(&mut one, &mark(0, 0));
        room.deliver(&mut two, &mark(0, 0));
        room.deliver(&mut one, &mark(0, 2));
        assert_eq!(room.leave(&two), 1);
        assert_eq!(room.deliver(&mut one, &mark(1, 1)), COMPLETED);
    }

    #[test]
    fn another_room_or_another_sender_is_a_fault() {
        let (mut room, mut one, _) = room(&[0]);
        let elsewhere = Mark { room: 4, ..mark(0, 0) };
        assert_eq!(room.deliver(&mut one, &elsewhere).fault, Some(FaultKind::WrongRoom));
        assert_eq!(room.deliver(&mut one, &mark(1, 0)).fault, Some(FaultKind::Altered));
        assert_eq!(room.deliver(&mut one, &mark(0, 7)).fault, Some(FaultKind::Altered));
    }
}
