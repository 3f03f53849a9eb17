//! How often a client may do something: a token bucket.

use std::time::Instant;

/// A rate, and how much of it may come at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

/// What a client has left of a [`Rate`].
#[derive(Debug)]
pub(super) struct Bucket {
    /// In millionths of a piece, so that small steps of time add up.
    left: u64,
    at: Instant,
}

const PIECE: u64 = 1_000_000;

impl Bucket {
    /// Full.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { left: u64::from(rate.burst) * PIECE, at: now }
    }

    /// Takes one piece, if it is there.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let passed = u64::try_from(now.saturating_duration_since(self.at).as_micros()).unwrap_or(u64::MAX);
        let come = passed.saturating_mul(u64::from(rate.per_second));
        self.left = self.left.saturating_add(come).min(u64::from(rate.burst) * PIECE);
        self.at = now;
        match self.left.checked_sub(PIECE) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let (rate, start) = (Rate { per_second: 10, burst: 3 }, Instant::now());
        let mut bucket = Bucket::new(rate, start);
        assert!((0..3).all(|_| bucket.take(rate, start)));
        assert!(!bucket.take(rate, start));
        // A hundred milliseconds bring one, however finely they are cut.
        let taken = (1..=100).filter(|ms| bucket.take(rate, start + Duration::from_millis(*ms))).count();
        assert_eq!(taken, 1);
        let later = start + Duration::from_mins(1);
        assert_eq!((0..10).filter(|_| bucket.take(rate, later)).count(), 3);
    }
}
