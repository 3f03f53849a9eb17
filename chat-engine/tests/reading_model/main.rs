//! Unread counts under random schedules: the production room, its replica and the production rules of positions, on three
//! nodes with three rooms and twenty people, whose tabs come and go, while nodes die and freeze, ways are cut, Redis is
//! emptied or loses its last writes, calls are made twice and changes arrive late, twice, out of order or never. Whenever
//! everything is quiet, what every client shows is what the server computes and what a [naive model](naive) says that stores
//! the set of readers of every message; at every moment no count is below zero, or above the number of members other than
//! the sender, and nobody counts as having read what never reached them.
//!
//! Time is simulated, and a seed always gives the same schedule. A failure prints its seed:
//!
//! ```text
//! READING_SEED=17 READING_TRACE=1 cargo test -p chat-engine --test reading_model -- random --nocapture
//! READING_SCHEDULES=100000 cargo test --release -p chat-engine --test reading_model -- random
//! READING_BREAK=floor cargo test -p chat-engine --test reading_model -- random    # has to fail
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test ends where its assumptions do, and its numbers are small"
)]

mod breaks;
mod naive;
mod snapshots;
mod tab;
mod world;

use std::{
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
};

use breaks::Break;
use shared::testing::user;
use world::World;

/// As many as take a few seconds.
const SCHEDULES: u64 = 1_000;
/// Every broken rule shows within so many.
const SHOWN_WITHIN: u64 = 10_000;

/// Random numbers that are the same for the same seed.
struct Dice(fastrand::Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }
}

fn setting<T>(name: &str, parse: impl FnOnce(&str) -> T) -> Option<T> {
    std::env::var(name).ok().map(|value| parse(&value))
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// Runs the schedule of a seed: how many messages there were.
fn run(seed: u64, breaking: Option<Break>, is_traced: bool) -> u64 {
    let mut world = World::new(seed, breaking, is_traced);
    world.run();
    world.tally()
}

#[test]
fn under_random_schedules_every_count_is_what_a_naive_model_says() {
    let breaking = setting("READING_BREAK", Break::named);
    let is_traced = setting("READING_TRACE", |_| ()).is_some();
    if let Some(seed) = setting("READING_SEED", number) {
        run(seed, breaking, is_traced);
        return;
    }
    let schedules = setting("READING_SCHEDULES", number).unwrap_or(SCHEDULES);
    let (next, messages, wrong) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // The first that is wrong is worth looking at, and seeds come in order.
            if seed >= schedules || seed > wrong.load(Ordering::Relaxed) {
                return;
            }
            match std::panic::catch_unwind(|| run(seed, breaking, is_traced)) {
                Ok(sent) => drop(messages.fetch_add(sent, Ordering::Relaxed)),
                Err(_) => drop(wrong.fetch_min(seed, Ordering::Relaxed)),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        (0..workers).for_each(|_| drop(scope.spawn(work)));
    });
    let (messages, wrong) = (messages.into_inner(), wrong.into_inner());
    assert_eq!(wrong, u64::MAX, "READING_SEED={wrong} runs it alone, with READING_TRACE=1 step by step");
    println!("{schedules} schedules, {messages} messages");
    assert!(messages > schedules, "something happens in them");
}

#[test]
fn every_broken_rule_shows() {
    let mut unseen = Vec::new();
    for rule in Break::ALL {
        let shows = |seed: &u64| std::panic::catch_unwind(|| run(*seed, Some(rule), false)).is_err();
        match (0..SHOWN_WITHIN).find(shows) {
            Some(seed) => println!("without {:10} seed {seed} is wrong", rule.name()),
            None => unseen.push(rule),
        }
    }
    assert!(unseen.is_empty(), "nobody sees that these are broken: {unseen:?}");
}
