//! What a node knows of each partition's last ten minutes, and who waits here for a record to get its place.
//!
//! An attempt to send with a client-id is over when this node's own tail has passed a record of its key, its own or
//! another's: only then is it certain which one was first. What is in the window already is answered at once, and
//! what is on its way from here is not sent a second time. An attempt whose outcome stays unknown is given up in
//! time; its record, should it come all the same, is then in the window for whoever sends again.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use shared::Seq;

use crate::{
    log::{
        AppendError, Completion,
        epoch::Epoch,
        repeats::{Key, Repeats},
    },
    timing::Timing,
};

/// The partitions of one epoch. Each has a lock of its own, held for a few look-ups and never while anybody is
/// answered.
pub(super) struct Window {
    partitions: Vec<Mutex<Partition>>,
    epoch: Epoch,
    patience: Duration,
    timing: Arc<Timing>,
}

struct Partition {
    repeats: Repeats,
    attempts: HashMap<Key, Attempt>,
    /// When attempts are given up, in order: each waits equally long. Some are over already.
    due: VecDeque<(Instant, Key, u64)>,
    /// Numbers the attempts: an old one's end must not end a new one.
    attempts_so_far: u64,
    /// Lower offsets are taken, as far as this node has seen.
    taken: u64,
    /// The next offset of the tail.
    tail: u64,
}

struct Attempt {
    number: u64,
    begun: Instant,
    waiting: Vec<Completion>,
}

/// What is to be done about a record that is to be appended.
pub(super) enum Begun {
    /// Nothing: it is in the log, or on its way.
    Done,
    /// It is to be sent.
    Send(Ticket),
}

/// A record on its way.
pub(super) struct Ticket {
    partition: u16,
    /// Its offset cannot be lower.
    floor: u64,
    begun: Instant,
    waits: Waits,
}

enum Waits {
    /// Until the record is durable.
    ForReport(Mutex<Option<Completion>>),
    /// Until the tail has passed a record of this key.
    ForTail(Key, u64),
}

/// Offsets have run backwards: this is another log of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "partition {partition} of the chat log has given out offset {offset} again, after {taken} of them: the topic was \
     deleted and made anew, or has lost records. Stop every node and run `moyiza log bump-epoch`"
)]
pub(crate) struct Backwards {
    partition: u16,
    offset: u64,
    taken: u64,
}

impl Window {
    pub(super) fn new(epoch: Epoch, patience: Duration, timing: Arc<Timing>) -> Self {
        let partition = || {
            Mutex::new(Partition {
                repeats: Repeats::new(epoch.number),
                attempts: HashMap::new(),
                due: VecDeque::new(),
                attempts_so_far: 0,
                taken: 0,
                tail: 0,
            })
        };
        let partitions = std::iter::repeat_with(partition).take(epoch.partitions.into()).collect();
        Self { partitions, epoch, patience, timing }
    }

    fn partition(&self, partition: u16) -> &Mutex<Partition> {
        // The caller's come from `partition_of` or from the topic, which was made with as many.
        &self.partitions[usize::from(partition)]
    }

    /// The tail will begin here.
    pub(super) fn begin_tail(&self, partition: u16, offset: u64) {
        let mut state = self.partition(partition).lock();
        state.tail = offset;
        state.taken = state.taken.max(offset);
    }

    /// Somebody wants to append a record of this key, and to be told of its place.
    pub(super) fn begin(&self, partition: u16, key: Option<Key>, now_ms: i64, done: Completion) -> Begun {
        let begun = Instant::now();
        let mut state = self.partition(partition).lock();
        let floor = state.taken;
        let Some(key) = key else {
            let waits = Waits::ForReport(Mutex::new(Some(done)));
            return Begun::Send(Ticket { partition, floor, begun, waits });
        };
        if let Some(first) = state.repeats.first(key, now_ms) {
            drop(state);
            done(Ok(first));
            return Begun::Done;
        }
        if let Some(attempt) = state.attempts.get_mut(&key) {
            attempt.waiting.push(done);
            return Begun::Done;
        }
        state.attempts_so_far += 1;
        let number = state.attempts_so_far;
        state.attempts.insert(key, Attempt { number, begun, waiting: vec![done] });
        state.due.push_back((begun + self.patience, key, number));
        Begun::Send(Ticket { partition, floor, begun, waits: Waits::ForTail(key, number) })
    }

    /// Whether a record of this key is there or on its way.
    pub(super) fn knows(&self, partition: u16, key: Key, now_ms: i64) -> bool {
        let state = self.partition(partition).lock();
        state.repeats.first(key, now_ms).is_some() || state.attempts.contains_key(&key)
    }

    /// A record is durable at `offset`.
    pub(super) fn delivered(&self, ticket: &Ticket, offset: u64) -> Result<(), Backwards> {
        if offset < ticket.floor {
            self.failed(ticket, &AppendError::Unavailable);
            return Err(Backwards { partition: ticket.partition, offset, taken: ticket.floor });
        }
        let mut state = self.partition(ticket.partition).lock();
        state.taken = state.taken.max(offset + 1);
        drop(state);
        self.timing.append.note(ticket.begun.elapsed());
        if let Waits::ForReport(done) = &ticket.waits
            && let Some(done) = done.lock().take()
        {
            done(Ok(self.epoch.seq(offset)));
        }
        Ok(())
    }

    /// A record was not sent, or nobody knows.
    pub(super) fn failed(&self, ticket: &Ticket, error: &AppendError) {
        let waiting = match &ticket.waits {
            Waits::ForReport(done) => done.lock().take().into_iter().collect(),
            Waits::ForTail(key, number) => self.partition(ticket.partition).lock().end(*key, *number),
        };
        answer(waiting, &Err(error.clone()));
    }

    /// The next offset of the tail.
    pub(super) fn tail(&self, partition: u16) -> u64 {
        self.partition(partition).lock().tail
    }

    /// The tail has come to the record at `offset`. Says whether it is the first of its kind, and who is to be
    /// answered when it has been handed on.
    pub(super) fn pass(
        &self,
        partition: u16,
        key: Option<Key>,
        offset: u64,
        log_time_ms: i64,
    ) -> Result<Passed, Backwards> {
        let mut state = self.partition(partition).lock();
        if offset < state.tail {
            return Err(Backwards { partition, offset, taken: state.tail });
        }
        state.tail = offset + 1;
        state.taken = state.taken.max(offset + 1);
        let seq = self.epoch.seq(offset);
        let first = state.repeats.take(key, seq, log_time_ms);
        let attempt = key.and_then(|key| state.attempts.remove(&key));
        if let Some(attempt) = &attempt {
            self.timing.read_back.note(attempt.begun.elapsed());
        }
        let waiting = attempt.map_or_else(Vec::new, |attempt| attempt.waiting);
        Ok(Passed { is_new: first.is_none(), seq: first.unwrap_or(seq), waiting })
    }

    /// Gives up what has waited for too long.
    pub(super) fn give_up(&self, now: Instant) {
        for partition in &self.partitions {
            let mut given_up = Vec::new();
            let mut state = partition.lock();
            while let Some((due, key, number)) = state.due.front().copied()
                && (due <= now || !state.is_on(key, number))
            {
                state.due.pop_front();
                given_up.extend(state.end(key, number));
            }
            drop(state);
            answer(given_up, &Err(AppendError::Unavailable));
        }
    }

    /// Nothing more will come of any attempt.
    pub(super) fn close(&self) {
        for partition in &self.partitions {
            let attempts = std::mem::take(&mut partition.lock().attempts);
            let waiting = attempts.into_values().flat_map(|attempt| attempt.waiting).collect();
            answer(waiting, &Err(AppendError::Unavailable));
        }
    }
}

impl Partition {
    fn is_on(&self, key: Key, number: u64) -> bool {
        self.attempts.get(&key).is_some_and(|attempt| attempt.number == number)
    }

    /// Ends an attempt, unless it is over.
    fn end(&mut self, key: Key, number: u64) -> Vec<Completion> {
        if !self.is_on(key, number) {
            return Vec::new();
        }
        self.attempts.remove(&key).map_or_else(Vec::new, |attempt| attempt.waiting)
    }
}

/// A record that the tail has come to.
#[must_use = "a repeat is not to be handed on, and somebody may wait"]
pub(super) struct Passed {
    /// Whether it repeats none.
    pub(super) is_new: bool,
    seq: Seq,
    waiting: Vec<Completion>,
}

impl Passed {
    /// Answers who waited for it.
    pub(super) fn answer(self) {
        answer(self.waiting, &Ok(self.seq));
    }
}

fn answer(waiting: Vec<Completion>, outcome: &Result<Seq, AppendError>) {
    for done in waiting {
        done(outcome.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::repeats::WINDOW_MS, record::Draft};

    type Answers = Arc<Mutex<Vec<Result<Seq, AppendError>>>>;

    const NOW: i64 = 1_800_000_000_000;

    fn window() -> Window {
        Window::new(Epoch { number: 1, partitions: 1 }, Duration::from_secs(1), Arc::default())
    }

    fn key(client_id: &str) -> Option<Key> {
        let (room, user) = (1.try_into().unwrap(), 2.try_into().unwrap());
        Key::of(&Draft::message(room, user, Some(client_id.into()), None, "x"))
    }

    fn seq(offset: u64) -> Seq {
        Seq::new(1, offset)
    }

    fn begin(window: &Window, key: Option<Key>, answers: &Answers) -> Option<Ticket> {
        let answers = answers.clone();
        match window.begin(0, key, NOW, Box::new(move |outcome| answers.lock().push(outcome))) {
            Begun::Done => None,
            Begun::Send(ticket) => Some(ticket),
        }
    }

    fn pass(window: &Window, key: Option<Key>, offset: u64) -> bool {
        let passed = window.pass(0, key, offset, NOW).unwrap();
        let is_new = passed.is_new;
        passed.answer();
        is_new
    }

    #[test]
    fn who_sends_with_a_client_id_is_answered_when_the_tail_has_passed() {
        let (window, answers) = (window(), Answers::default());
        let ticket = begin(&window, key("a"), &answers).unwrap();
        window.delivered(&ticket, 5).unwrap();
        assert!(answers.lock().is_empty(), "another node's may be before it");
        assert!(pass(&window, key("a"), 3), "the other node's");
        assert_eq!(*answers.lock(), [Ok(seq(3))]);
        assert!(!pass(&window, key("a"), 5));
        assert!(begin(&window, key("a"), &answers).is_none(), "not sent again");
        assert_eq!(*answers.lock(), [Ok(seq(3)), Ok(seq(3))]);
    }

    #[test]
    fn who_sends_without_one_is_answered_as_soon_as_it_is_durable() {
        let (window, answers) = (window(), Answers::default());
        let ticket = begin(&window, None, &answers).unwrap();
        window.delivered(&ticket, 0).unwrap();
        assert_eq!(*answers.lock(), [Ok(seq(0))]);
    }

    #[test]
    fn what_is_on_its_way_is_not_sent_twice() {
        let (window, answers) = (window(), Answers::default());
        let ticket = begin(&window, key("a"), &answers).unwrap();
        assert!(begin(&window, key("a"), &answers).is_none());
        assert!(begin(&window, key("b"), &answers).is_some());
        window.failed(&ticket, &AppendError::Busy);
        assert_eq!(*answers.lock(), [Err(AppendError::Busy), Err(AppendError::Busy)]);
        assert!(begin(&window, key("a"), &answers).is_some(), "it may be tried again");
    }

    #[test]
    fn an_attempt_whose_outcome_is_unknown_is_given_up_and_found_again() {
        let (window, answers) = (window(), Answers::default());
        let first = begin(&window, key("a"), &answers).unwrap();
        window.give_up(Instant::now());
        assert!(answers.lock().is_empty());
        window.give_up(Instant::now() + Duration::from_secs(1));
        assert_eq!(*answers.lock(), [Err(AppendError::Unavailable)]);
        let second = begin(&window, key("a"), &answers).unwrap();
        // The first attempt's own end is not the second's.
        window.failed(&first, &AppendError::Unavailable);
        assert!(pass(&window, key("a"), 0), "the first one's record");
        assert_eq!(answers.lock().last(), Some(&Ok(seq(0))));
        window.delivered(&second, 1).unwrap();
        assert!(!pass(&window, key("a"), 1));
        assert_eq!(answers.lock().len(), 2);
    }

    #[test]
    fn nothing_is_kept_of_attempts_that_are_over() {
        let (window, answers) = (window(), Answers::default());
        for offset in 0..100 {
            begin(&window, key(&offset.to_string()), &answers).unwrap();
            assert!(pass(&window, key(&offset.to_string()), offset));
        }
        window.give_up(Instant::now());
        let state = window.partition(0).lock();
        assert!(state.attempts.is_empty() && state.due.is_empty());
    }

    #[test]
    fn offsets_that_run_backwards_are_another_log() {
        let (window, answers) = (window(), Answers::default());
        assert!(pass(&window, None, 7));
        let (named, nameless) =
            (begin(&window, key("a"), &answers).unwrap(), begin(&window, None, &answers).unwrap());
        assert!(window.delivered(&named, 7).is_err());
        assert!(window.delivered(&nameless, 2).is_err());
        assert_eq!(*answers.lock(), [Err(AppendError::Unavailable), Err(AppendError::Unavailable)]);
        assert!(window.pass(0, None, 7, NOW).is_err());
        // The tail may be ahead of a report.
        let late = begin(&window, None, &answers).unwrap();
        assert!(pass(&window, None, 8) && pass(&window, None, 9));
        assert_eq!(window.delivered(&late, 8), Ok(()));
    }

    #[test]
    fn after_ten_minutes_it_is_something_new() {
        let (window, answers) = (window(), Answers::default());
        let old = window.pass(0, key("a"), 0, NOW - WINDOW_MS).unwrap();
        assert!(old.is_new);
        assert!(begin(&window, key("a"), &answers).is_some());
        assert!(pass(&window, key("a"), 1));
        assert_eq!(*answers.lock(), [Ok(seq(1))]);
    }
}
