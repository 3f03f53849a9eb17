//! A node's copy of a room's positions, from which it counts without asking anybody.

use std::collections::{BTreeMap, HashMap};

use shared::{Seq, UserId};

use crate::reading::{Life, Snapshot};

/// The positions of the members who are not reading now.
#[derive(Clone, Debug, Default)]
pub struct Replica {
    /// The life of the authority's state.
    pub life: Life,
    /// The version of the last change applied.
    pub version: u64,
    positions: HashMap<UserId, Seq>,
    /// How many stand at each position, so that counting does not visit every member.
    standing: BTreeMap<Seq, u32>,
}

impl Replica {
    /// The replica that a snapshot describes.
    pub fn new(snapshot: Snapshot) -> Self {
        let mut replica = Self { life: snapshot.life, version: snapshot.version, ..Self::default() };
        for (user, seq) in snapshot.positions {
            replica.set(user, Some(seq));
        }
        replica
    }

    /// Where `user` stands; `None` for readers and strangers.
    pub fn position(&self, user: UserId) -> Option<Seq> {
        self.positions.get(&user).copied()
    }

    /// Moves `user`.
    pub fn set(&mut self, user: UserId, to: Option<Seq>) {
        let from = match to {
            Some(seq) => {
                *self.standing.entry(seq).or_default() += 1;
                self.positions.insert(user, seq)
            }
            None => self.positions.remove(&user),
        };
        if let Some(from) = from
            && let Some(standing) = self.standing.get_mut(&from)
        {
            *standing -= 1;
            if *standing == 0 {
                self.standing.remove(&from);
            }
        }
    }

    /// How many have not read the message at `seq`. Cheap near the head, where messages are counted: it adds
    /// up those who stand at or past `seq`.
    pub fn unread(&self, seq: Seq) -> u32 {
        let past: u32 = self.standing.range(seq..).map(|(_, standing)| standing).sum();
        // A room has far fewer than 2^32 members.
        u32::try_from(self.positions.len()).unwrap_or(u32::MAX) - past
    }

    /// The counts of all messages, as steps: above each seq, so many unread.
    pub fn steps(&self) -> Vec<(Seq, u32)> {
        let mut unread = 0;
        let mut steps = vec![(Seq::ZERO, 0)];
        for (seq, standing) in &self.standing {
            unread += standing;
            match steps.last_mut() {
                Some(last) if last.0 == *seq => last.1 = unread,
                _ => steps.push((*seq, unread)),
            }
        }
        steps
    }
}
