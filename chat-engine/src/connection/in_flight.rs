//! What was queued for one client and is not known to have been taken: its bytes were not acknowledged.
//!
//! Whatever a subscription has taken lies before its first record here. So nothing needs to be kept of what was taken,
//! and what is kept may be joined without ever saying too much: a longer stretch is taken later.

use shared::Seq;

use crate::room::SubscriberId;

/// Which subscription's record a frame is.
pub type Mark = (SubscriberId, Seq);

/// Stretches that a client is given before they are joined: a second of a busy room for one that acknowledges in time,
/// and no more memory than that for one that does not.
const STRETCHES: usize = 32;

/// Where a record that is not written ends.
const NEVER: u64 = u64::MAX;

/// Records of one subscription that follow each other.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    subscriber: SubscriberId,
    first: Seq,
    /// Where the last one ends, in bytes that the connection was written.
    end: u64,
}

/// The records of one connection, oldest first. It has no memory of its own while there are none.
#[derive(Debug, Default)]
pub(super) struct InFlight(Vec<Stretch>);

impl InFlight {
    /// A record was queued, and ends there in the connection's bytes.
    pub(super) fn push(&mut self, (subscriber, first): Mark, end: u64) {
        self.0.push(Stretch { subscriber, first, end });
    }

    /// A record was not queued, and will not be; nor does any other of its subscription follow.
    pub(super) fn give_up(&mut self, mark: Mark) {
        let is_known = |stretch: &Stretch| stretch.subscriber == mark.0 && stretch.end == NEVER;
        if !self.0.iter().any(is_known) {
            self.push(mark, NEVER);
        }
    }

    /// Nothing more can be known of this connection: what is here now was not taken.
    pub(super) fn freeze(&mut self) {
        self.0.iter_mut().for_each(|stretch| stretch.end = NEVER);
    }

    /// The client has acknowledged so many of the connection's bytes.
    pub(super) fn acknowledged(&mut self, bytes: u64) {
        self.0.retain(|stretch| stretch.end > bytes);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something here lies in the first so many bytes.
    pub(super) fn begins_before(&self, bytes: u64) -> bool {
        self.0.first().is_some_and(|stretch| stretch.end <= bytes)
    }

    /// Whether it is to be made smaller before the next record: it would take more memory.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= STRETCHES && self.0.len() == self.0.capacity()
    }

    /// Joins the newer half, to one stretch for each subscription. The older half is the one in which a client that reads
    /// no more has stopped: there it is known to the record.
    pub(super) fn join(&mut self) {
        let exact = self.0.len() / 2;
        let mut kept = exact;
        for at in exact..self.0.len() {
            let stretch = self.0[at];
            let same = |of: &&mut Stretch| of.subscriber == stretch.subscriber;
            if let Some(of) = self.0[exact..kept].iter_mut().find(same) {
                of.end = of.end.max(stretch.end);
            } else {
                self.0[kept] = stretch;
                kept += 1;
            }
        }
        self.0.truncate(kept);
    }

    /// The place that a subscription's client has got to; `None` for everything that was queued for it.
    pub(super) fn reached(&self, subscriber: SubscriberId) -> Option<Seq> {
        let of_it = self.0.iter().filter(|stretch| stretch.subscriber == subscriber);
        let first = of_it.map(|stretch| stretch.first).min()?;
        // No record is at zero.
        Some(Seq::from_raw(first.get() - 1).unwrap_or_default())
    }

    /// A subscription is over.
    pub(super) fn forget(&mut self, subscriber: SubscriberId) {
        self.0.retain(|stretch| stretch.subscriber != subscriber);
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::seq;

    use super::*;

    const ONE: SubscriberId = SubscriberId(1);
    const OTHER: SubscriberId = SubscriberId(2);

    /// Records 1, 2, 3 … of one subscription, each of ten bytes.
    fn queued(records: i64) -> InFlight {
        let mut in_flight = InFlight::default();
        for record in 1..=records {
            if in_flight.is_full() {
                in_flight.join();
            }
            in_flight.push((ONE, seq(record)), record.unsigned_abs() * 10);
        }
        in_flight
    }

    #[test]
    fn a_record_is_taken_when_its_last_byte_was_acknowledged() {
        let mut in_flight = queued(3);
        assert_eq!(in_flight.reached(ONE), Some(seq(0)));
        in_flight.acknowledged(19);
        assert_eq!(in_flight.reached(ONE), Some(seq(1)));
        in_flight.acknowledged(20);
        assert_eq!(in_flight.reached(ONE), Some(seq(2)));
        in_flight.acknowledged(30);
        assert_eq!((in_flight.reached(ONE), in_flight.0.capacity()), (None, 0));
    }

    #[test]
    fn rooms_share_the_bytes_of_a_connection_and_nothing_else() {
        let mut in_flight = InFlight::default();
        in_flight.push((ONE, seq(7)), 10);
        in_flight.push((OTHER, seq(900)), 20);
        in_flight.push((ONE, seq(8)), 30);
        in_flight.acknowledged(10);
        assert_eq!((in_flight.reached(ONE), in_flight.reached(OTHER)), (Some(seq(7)), Some(seq(899))));
        in_flight.acknowledged(25);
        assert_eq!((in_flight.reached(ONE), in_flight.reached(OTHER)), (Some(seq(7)), None));
        in_flight.forget(ONE);
        assert_eq!(in_flight.reached(ONE), None);
    }

    #[test]
    fn what_is_not_written_is_never_taken() {
        let mut in_flight = queued(2);
        in_flight.give_up((ONE, seq(3)));
        in_flight.acknowledged(1_000_000);
        assert_eq!(in_flight.reached(ONE), Some(seq(2)));
        let mut in_flight = queued(3);
        in_flight.acknowledged(10);
        in_flight.freeze();
        // A close frame was written, and acknowledged.
        in_flight.acknowledged(1_000_000);
        assert_eq!(in_flight.reached(ONE), Some(seq(1)));
    }

    #[test]
    fn who_acknowledges_nothing_takes_no_more_memory_and_is_known_to_the_record_where_it_stopped() {
        let mut in_flight = queued(100_000);
        assert_eq!(in_flight.0.capacity(), STRETCHES);
        in_flight.acknowledged(70);
        assert_eq!(in_flight.reached(ONE), Some(seq(7)));
        // Behind that only that it was all of it.
        in_flight.acknowledged(500_000);
        assert!(in_flight.reached(ONE).is_some_and(|reached| reached <= seq(50_000)));
        in_flight.acknowledged(1_000_000);
        assert_eq!(in_flight.reached(ONE), None);
    }

    #[test]
    fn however_it_is_joined_no_more_is_taken_than_was_acknowledged() {
        for records in 1..200 {
            for acknowledged in 0..=records {
                let mut in_flight = queued(records);
                in_flight.acknowledged(acknowledged.unsigned_abs() * 10);
                let reached = in_flight.reached(ONE).unwrap_or(seq(records));
                assert!(reached <= seq(acknowledged), "{reached} of {records}, {acknowledged} acknowledged");
                // The older half is exact.
                let exact = i64::try_from(STRETCHES / 2).unwrap();
                assert!(acknowledged > exact || reached == seq(acknowledged));
            }
        }
    }

    #[test]
    fn many_subscriptions_take_memory_for_each_and_no_more() {
        const SUBSCRIPTIONS: u64 = 256;
        let mut in_flight = InFlight::default();
        for record in 1..100_000 {
            if in_flight.is_full() {
                in_flight.join();
            }
            let subscriber = SubscriberId(record % SUBSCRIPTIONS);
            in_flight.push((subscriber, seq(record.cast_signed())), record * 10);
        }
        assert!(in_flight.0.capacity() <= 1_024, "{}", in_flight.0.capacity());
        assert!((0..SUBSCRIPTIONS).all(|id| in_flight.reached(SubscriberId(id)).is_some()));
    }
}
