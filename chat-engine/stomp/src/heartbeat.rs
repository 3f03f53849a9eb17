//! The `heart-beat` header: what each side can do and would like (STOMP 1.2 "Heart-beating").

use std::{fmt, time::Duration};

/// One side's `heart-beat` header, in milliseconds; zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartBeat {
    /// The shortest time between beats that this side can guarantee to send.
    pub can_send_ms: u32,
    /// The time between beats that this side would like to get.
    pub wants_ms: u32,
}

/// The header is not two numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("heart-beat {0:?} is not two numbers of milliseconds with a comma between")]
pub struct HeartBeatError(String);

impl HeartBeat {
    /// Parses the header.
    pub fn parse(header: &str) -> Result<Self, HeartBeatError> {
        let numbers = header.split_once(',').and_then(|(can_send, wants)| {
            Some(Self { can_send_ms: can_send.trim().parse().ok()?, wants_ms: wants.trim().parse().ok()? })
        });
        numbers.ok_or_else(|| HeartBeatError(header.chars().take(32).collect()))
    }

    /// How often a side that says `self` sends to one that says `peer`; `None` for not at all.
    pub fn interval_to(self, peer: Self) -> Option<Duration> {
        if self.can_send_ms == 0 || peer.wants_ms == 0 {
            return None;
        }
        Some(Duration::from_millis(u64::from(self.can_send_ms.max(peer.wants_ms))))
    }
}

impl fmt::Display for HeartBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.can_send_ms, self.wants_ms)
    }
}
