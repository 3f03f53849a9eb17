//! Identifiers. Each is a positive integer that a JavaScript number holds exactly.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, thiserror::Error)]
pub enum IdError {
    /// Not a decimal integer.
    #[error("not a decimal integer: {0}")]
    NotAnInteger(#[from] ParseIntError),
    /// Identifiers start at one.
    #[error("an identifier is at least 1")]
    NotPositive,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
        #[serde(try_from = "i64")]
        #[sqlx(transparent)]
        pub struct $name(i64);

        impl $name {
            /// The number itself.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = IdError;

            fn try_from(id: i64) -> Result<Self, IdError> {
                if id > 0 { Ok(Self(id)) } else { Err(IdError::NotPositive) }
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.parse::<i64>()?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

id! {
    /// A person with an account.
    UserId
}
id! {
    /// One signed-in device of a person.
    SessionId
}
id! {
    /// A club or a oneday.
    MeetupId
}
id! {
    /// A chat room. Every meetup has one, under the meetup's own number.
    RoomId
}

impl From<MeetupId> for RoomId {
    fn from(meetup: MeetupId) -> Self {
        Self(meetup.0)
    }
}

impl From<RoomId> for MeetupId {
    fn from(room: RoomId) -> Self {
        Self(room.0)
    }
}

/// A record's place in its room: unique, strictly increasing, not dense. `epoch · 2^40 + offset`, where the
/// epoch numbers the logs this installation has used and the offset is the record's place in its partition.
/// Zero is before every record.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Seq(i64);

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a seq is never negative, an epoch fits 13 bits and an offset 40"
)]
impl Seq {
    /// Before every record.
    pub const ZERO: Self = Self(0);
    const OFFSET_BITS: u32 = 40;

    /// The place of the record at `offset` of a partition in the log of `epoch`.
    ///
    /// Epochs below 2^13 keep the result inside the 2^53 that a JavaScript number holds exactly.
    pub const fn new(epoch: u16, offset: u64) -> Self {
        debug_assert!(epoch < 1 << 13 && offset < 1 << Self::OFFSET_BITS);
        Self(((epoch as i64) << Self::OFFSET_BITS) | (offset as i64 & ((1 << Self::OFFSET_BITS) - 1)))
    }

    /// The log that holds the record.
    pub const fn epoch(self) -> u16 {
        (self.0 >> Self::OFFSET_BITS) as u16
    }

    /// The record's place in its partition.
    pub const fn offset(self) -> u64 {
        (self.0 & ((1 << Self::OFFSET_BITS) - 1)) as u64
    }

    /// The number itself.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// From a number that came over the wire or out of the database; negative ones are refused.
    pub const fn from_raw(raw: i64) -> Option<Self> {
        if raw >= 0 { Some(Self(raw)) } else { None }
    }
}

impl FromStr for Seq {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::from_raw(text.parse()?).ok_or(IdError::NotPositive)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_positive_integer() {
        assert_eq!("7".parse::<UserId>().unwrap().get(), 7);
        for bad in ["", "0", "-1", "x", "9223372036854775808"] {
            assert!(bad.parse::<UserId>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<UserId>("0").is_err());
    }

    #[test]
    fn seq_orders_by_epoch_then_offset() {
        let first = Seq::new(1, 5);
        assert_eq!((first.epoch(), first.offset()), (1, 5));
        assert!(first < Seq::new(1, 6) && Seq::new(1, (1 << 40) - 1) < Seq::new(2, 0));
        assert!(Seq::new(8191, (1 << 40) - 1).get() < 1 << 53);
    }
}
