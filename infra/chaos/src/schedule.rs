//! Which fault comes when, from the seed alone.

use std::{collections::BTreeMap, fmt, time::Duration};

use fastrand::Rng;

/// What can be taken from an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The log.
    Kafka,
    /// The reading state.
    Redis,
    /// People, and the log as rows.
    Postgres,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL, then a new start.
    KillEngine,
    /// SIGKILL, then a new start.
    KillBroker,
    /// SIGKILL, then a new start.
    KillRedis,
    /// SIGKILL of all its processes, then a new start.
    KillPostgres,
    /// SIGSTOP, then SIGCONT; now and then for longer than the engine's lease.
    FreezeEngine,
    /// SIGSTOP, then SIGCONT: to the others a broker behind a broken network.
    FreezeBroker,
    /// SIGSTOP, then SIGCONT.
    FreezeRedis,
    /// SIGSTOP of all its processes, then SIGCONT.
    FreezePostgres,
    /// SIGSTOP of all three brokers, then SIGCONT.
    FreezeBrokers,
    /// One engine's connections to it are reset, and refused.
    Cut(Server),
    /// One engine and it no longer hear of each other.
    Stall(Server),
    /// One engine hears of no server.
    Isolate,
    /// A new engine comes, takes its share of clients, and goes by SIGTERM.
    JoinAndLeave,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 17] = [
        Self::KillEngine,
        Self::KillBroker,
        Self::KillRedis,
        Self::KillPostgres,
        Self::FreezeEngine,
        Self::FreezeBroker,
        Self::FreezeRedis,
        Self::FreezePostgres,
        Self::FreezeBrokers,
        Self::Cut(Server::Kafka),
        Self::Cut(Server::Redis),
        Self::Cut(Server::Postgres),
        Self::Stall(Server::Kafka),
        Self::Stall(Server::Redis),
        Self::Stall(Server::Postgres),
        Self::Isolate,
        Self::JoinAndLeave,
    ];

    /// What nothing else may be done to at the same time.
    fn victim(self, engines: usize, rng: &mut Rng) -> Victim {
        match self {
            Self::KillBroker | Self::FreezeBroker => Victim::Broker(rng.usize(0..BROKERS)),
            Self::FreezeBrokers => Victim::Brokers,
            Self::KillRedis | Self::FreezeRedis => Victim::Redis,
            Self::KillPostgres | Self::FreezePostgres => Victim::Postgres,
            Self::JoinAndLeave => Victim::Engine(engines),
            _ => Victim::Engine(rng.usize(0..engines)),
        }
    }

    fn lasts(self, rng: &mut Rng) -> Duration {
        let (least, most) = match self {
            Self::KillEngine | Self::KillRedis | Self::KillPostgres => (200, 4_000),
            Self::KillBroker => (500, 6_000),
            Self::FreezeEngine | Self::FreezeBroker | Self::FreezeRedis | Self::FreezePostgres => {
                (2_000, 15_000)
            }
            Self::FreezeBrokers => (2_000, 6_000),
            Self::Cut(_) | Self::Stall(_) | Self::Isolate => (1_000, 12_000),
            Self::JoinAndLeave => (8_000, 20_000),
        };
        Duration::from_millis(rng.u64(least..=most))
    }

    /// How long what it was done to is left alone after it: brokers copy what they missed, an engine starts.
    const fn rest(self) -> Duration {
        Duration::from_secs(match self {
            Self::KillBroker | Self::FreezeBroker | Self::FreezeBrokers => 8,
            Self::KillEngine | Self::JoinAndLeave => 3,
            _ => 1,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = |server: &Server| match server {
            Server::Kafka => "Kafka",
            Server::Redis => "Redis",
            Server::Postgres => "PostgreSQL",
        };
        match self {
            Self::KillEngine => f.write_str("kill an engine"),
            Self::KillBroker => f.write_str("kill a broker"),
            Self::KillRedis => f.write_str("kill Redis"),
            Self::KillPostgres => f.write_str("kill PostgreSQL"),
            Self::FreezeEngine => f.write_str("freeze an engine"),
            Self::FreezeBroker => f.write_str("freeze a broker"),
            Self::FreezeRedis => f.write_str("freeze Redis"),
            Self::FreezePostgres => f.write_str("freeze PostgreSQL"),
            Self::FreezeBrokers => f.write_str("freeze all brokers"),
            Self::Cut(from) => write!(f, "cut an engine from {}", server(from)),
            Self::Stall(from) => write!(f, "stall an engine and {}", server(from)),
            Self::Isolate => f.write_str("stall an engine and everything"),
            Self::JoinAndLeave => f.write_str("an engine joins and leaves"),
        }
    }
}

/// How many brokers there are.
pub const BROKERS: usize = 3;

/// What a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// One engine, from 0 on; the one that joins has the number after the last.
    Engine(usize),
    /// One broker, from 0 on.
    Broker(usize),
    /// All brokers.
    Brokers,
    /// Redis.
    Redis,
    /// PostgreSQL.
    Postgres,
}

impl Victim {
    /// Two of the same lane never suffer at the same time: of three brokers a majority stays, but for the fault that
    /// takes them all.
    const fn lane(self) -> Self {
        match self {
            Self::Broker(_) => Self::Brokers,
            other => other,
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(number) => write!(f, "engine {}", number + 1),
            Self::Broker(number) => write!(f, "broker {}", number + 1),
            Self::Brokers => f.write_str("brokers 1, 2, 3"),
            Self::Redis => f.write_str("Redis"),
            Self::Postgres => f.write_str("PostgreSQL"),
        }
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// After the start.
    pub at: Duration,
    /// Until it is healed, or what was killed starts again.
    pub lasts: Duration,
    /// What is done.
    pub kind: Kind,
    /// To whom.
    pub victim: Victim,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "{at:7.1} s  {} for {lasts:.1} s: {}", self.kind, self.victim)
    }
}

/// The longest pause between two faults in one run.
const LONGEST_PAUSE: Duration = Duration::from_secs(7);
/// Nothing begins so shortly before the end.
const LAST_CALM: Duration = Duration::from_secs(2);

/// The faults of a run of so long on so many engines, in order. The same for the same seed.
///
/// Kinds come in rounds, each round every kind once in an order of its own, so that none is left to luck; pauses are as
/// short as one round needs to fit.
pub fn plan(seed: u64, length: Duration, engines: usize) -> Vec<Fault> {
    let mut rng = Rng::with_seed(seed);
    let kinds = u32::try_from(Kind::ALL.len()).unwrap_or(u32::MAX);
    let longest = (2 * length.saturating_sub(LAST_CALM) / (kinds + 1)).min(LONGEST_PAUSE);
    // Around its mean, so that a round takes about as long as the mean says.
    let pauses = longest / 4..=longest * 3 / 4;
    let mut faults = Vec::new();
    let mut free: BTreeMap<Victim, Duration> = BTreeMap::new();
    let mut round = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        let pause = rng.u128(pauses.start().as_millis()..=pauses.end().as_millis());
        at += Duration::from_millis(u64::try_from(pause).unwrap_or_default());
        if at + LAST_CALM > length {
            break;
        }
        if round.is_empty() {
            round = Kind::ALL.to_vec();
            rng.shuffle(&mut round);
        }
        // The next of the round that finds its victim well; if none does, there is a longer pause.
        let found = (0..round.len()).rev().find_map(|index| {
            let victim = round[index].victim(engines, &mut rng);
            let is_free = free.get(&victim.lane()).is_none_or(|free| *free <= at);
            is_free.then_some((index, victim))
        });
        let Some((index, victim)) = found else { continue };
        let kind = round.remove(index);
        let lasts = kind.lasts(&mut rng).min(length.saturating_sub(at).max(LAST_CALM));
        free.insert(victim.lane(), at + lasts + kind.rest());
        faults.push(Fault { at, lasts, kind, victim });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        let length = Duration::from_mins(10);
        assert_eq!(plan(1, length, 3), plan(1, length, 3));
        assert_ne!(plan(1, length, 3), plan(2, length, 3));
    }

    #[test]
    fn every_kind_comes_in_ninety_seconds_whatever_the_seed() {
        for seed in 0..200 {
            let faults = plan(seed, Duration::from_secs(90), 3);
            for kind in Kind::ALL {
                assert!(faults.iter().any(|fault| fault.kind == kind), "seed {seed} has no {kind}");
            }
        }
    }

    #[test]
    fn nobody_suffers_two_things_at_a_time() {
        let faults = plan(7, Duration::from_mins(10), 3);
        assert!(faults.len() > 100);
        for (index, fault) in faults.iter().enumerate() {
            for later in &faults[index + 1..] {
                let same = fault.victim.lane() == later.victim.lane();
                assert!(!same || later.at >= fault.at + fault.lasts, "{fault} and {later}");
            }
        }
    }
}
