//! The names under which the two services meet: Kafka topics and the PostgreSQL notification channel. Redis
//! keys belong to the engine alone and are named there.

use crate::MeetupId;
use crate::UserId;

/// Kafka topics under a prefix, which keeps installations (and tests) apart on one cluster.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
}

impl Topics {
    /// Topics whose names begin with `prefix`, which may be empty.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The log of chat records in one epoch; key = room id.
    pub fn chat_log(&self, epoch: u16) -> String {
        format!("{}chat.log.{epoch}", self.prefix)
    }

    /// What happened to meetups and people; key = [`EventKey`].
    pub fn meetup_events(&self) -> String {
        format!("{}meetup.events", self.prefix)
    }

    /// Messages of the chat log that could not be written to PostgreSQL, as they were, with headers that say why.
    pub fn dead_letter(&self) -> String {
        format!("{}chat.dead-letter", self.prefix)
    }

    /// A consumer group's name under the same prefix.
    pub fn group(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Partitions of `meetup.events`. Every consumer reads all of it, so they buy nothing; few, for what comes later.
pub const EVENT_PARTITIONS: i32 = 4;

/// The channel on which PostgreSQL announces that the outbox has rows.
pub const OUTBOX_CHANNEL: &str = "outbox";

/// PostgreSQL advisory locks, together so that no two are the same.
pub mod locks {
    /// Making the first signing key.
    pub const SIGNING_KEY: i64 = 0x6d6f_7969_7a61_0001;
    /// Choosing the log's epoch.
    pub const LOG_EPOCH: i64 = 0x6d6f_7969_7a61_0002;
    /// Relaying the outbox.
    pub const OUTBOX_RELAY: i64 = 0x6d6f_7969_7a61_0003;
    /// Counting the runs of Redis.
    pub const REDIS_RUNS: i64 = 0x6d6f_7969_7a61_0004;
}

/// What an event is about; events with the same key stay in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKey {
    /// A meetup and its members.
    Meetup(MeetupId),
    /// A person and their sessions.
    User(UserId),
}

impl std::fmt::Display for EventKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Meetup(id) => write!(f, "meetup:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}
