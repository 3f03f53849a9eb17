//! What a broker can do wrong.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// The kind of a fault. Any fault makes a run fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A message did not come to a subscriber.
    Lost,
    /// A message came to a subscriber twice.
    Repeated,
    /// Two messages of one sender came in the other order.
    Reordered,
    /// A message came to a subscriber of another room.
    WrongRoom,
    /// A message came that was not sent like that.
    Altered,
    /// A frame that is not STOMP, or bytes that are not WebSocket.
    Malformed,
    /// The broker answered with ERROR.
    Error,
    /// A connection could not be made: refused, no upgrade, no CONNECTED, no RECEIPT.
    NotConnected,
    /// The broker, or the network, ended a connection.
    Closed,
    /// The broker did not send the heart-beats that it had promised.
    Silent,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Repeated => "repeated",
            Self::Reordered => "reordered",
            Self::WrongRoom => "wrong room",
            Self::Altered => "altered",
            Self::Malformed => "malformed",
            Self::Error => "error",
            Self::NotConnected => "not connected",
            Self::Closed => "closed",
            Self::Silent => "silent",
        })
    }
}

/// The faults of a run: all counted, the first told in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// How many of each kind.
    pub counts: BTreeMap<FaultKind, u64>,
    /// The first ones, described.
    pub first: Vec<String>,
}

impl Faults {
    /// One who reads them has seen enough after so many.
    const TOLD: usize = 20;

    /// Notes a fault.
    pub fn add(&mut self, kind: FaultKind, description: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_default() += 1;
        if self.first.len() < Self::TOLD {
            self.first.push(format!("{kind}: {}", description()));
        }
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: Self) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.first.extend(other.first);
        self.first.truncate(Self::TOLD);
    }

    /// Whether nothing went wrong.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many of a kind.
    pub fn count(&self, kind: FaultKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or_default()
    }
}
