//! What is right: of every message the set of its readers, and of every room the set of its members. Nothing here knows of
//! positions, versions, snapshots or ranges.
//!
//! A reader is somebody whom the message reached while they were reading, or who opened the room after it, or
//! acknowledged it or a later one, or wrote or joined after it. For each of them the model knows **who knows it**: the
//! node that they read on, Redis, PostgreSQL. A crash is that one of these forgets, and that is all a crash may do: whoever
//! nobody in service knows to have read a message is shown as not having read it, until somebody remembers. So a crash may
//! show a read message as unread; an unread one as read, never: for that there is no reader to be found here.

use std::collections::{BTreeMap, BTreeSet};

use shared::{Seq, UserId};

/// Who knows that somebody has read a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Keeper {
    /// The log has a record of theirs that says so. It forgets nothing.
    Log,
    /// A node's memory: of somebody who is reading there, or of a call that has not been answered.
    Held(u64),
    /// Redis has been told.
    Redis,
    /// PostgreSQL has been told: Redis is, as soon as it has to load the room.
    Postgres,
    /// A node is about to tell PostgreSQL.
    Journal(u64),
    /// A node is about to tell Redis what it knows, for the case of its death.
    Drafted(u64),
    /// Redis has been told for the case of this node's death.
    Checkpoint(u64),
}

impl Keeper {
    /// Whether the counts show what it knows.
    const fn is_in_service(self) -> bool {
        matches!(self, Self::Log | Self::Held(_) | Self::Redis)
    }
}

struct Message {
    /// Only a name, in the order of the log.
    seq: Seq,
    sender: UserId,
    readers: BTreeMap<UserId, Vec<Keeper>>,
}

/// One room.
#[derive(Default)]
pub(crate) struct Naive {
    members: BTreeSet<UserId>,
    /// Whoever was a member at any moment since everything was quiet.
    lately: BTreeSet<UserId>,
    /// And whom the Redis that may take over knows.
    replicated: BTreeSet<UserId>,
    messages: Vec<Message>,
}

impl Naive {
    pub(crate) fn new(members: impl IntoIterator<Item = UserId>) -> Self {
        let members: BTreeSet<_> = members.into_iter().collect();
        Self { lately: members.clone(), replicated: members.clone(), members, messages: Vec::new() }
    }

    pub(crate) fn send(&mut self, seq: Seq, sender: UserId) {
        self.messages.push(Message { seq, sender, readers: BTreeMap::new() });
        // Who answers has read what came before.
        self.read(sender, seq, Keeper::Log);
    }

    /// Earlier messages are not for them.
    pub(crate) fn join(&mut self, user: UserId, at: Seq) {
        self.members.insert(user);
        self.lately.insert(user);
        self.read(user, at, Keeper::Log);
    }

    pub(crate) fn leave(&mut self, user: UserId) {
        self.members.remove(&user);
    }

    /// `user` has read every message up to that one.
    pub(crate) fn read(&mut self, user: UserId, up_to: Seq, keeper: Keeper) {
        for message in self.messages.iter_mut().rev().filter(|message| message.seq <= up_to) {
            let keepers = message.readers.entry(user).or_default();
            if keepers.contains(&keeper) {
                // As it is with every earlier one.
                return;
            }
            keepers.push(keeper);
        }
    }

    /// What `from` knows of `user` is known to `to`, too; but nothing above `up_to`.
    pub(crate) fn tell(&mut self, user: UserId, from: Keeper, to: Keeper, up_to: Option<Seq>) {
        for message in &mut self.messages {
            if up_to.is_some_and(|up_to| up_to < message.seq) {
                return;
            }
            if let Some(keepers) = message.readers.get_mut(&user)
                && keepers.contains(&from)
                && !keepers.contains(&to)
            {
                keepers.push(to);
            }
        }
    }

    /// The same of everybody.
    pub(crate) fn tell_all(&mut self, from: Keeper, to: Keeper) {
        for keepers in self.messages.iter_mut().flat_map(|message| message.readers.values_mut()) {
            if keepers.contains(&from) && !keepers.contains(&to) {
                keepers.push(to);
            }
        }
    }

    pub(crate) fn forget(&mut self, user: UserId, keeper: Keeper) {
        for keepers in self.messages.iter_mut().filter_map(|message| message.readers.get_mut(&user)) {
            keepers.retain(|other| *other != keeper);
        }
    }

    pub(crate) fn forget_all(&mut self, keeper: impl Fn(Keeper) -> bool) {
        for keepers in self.messages.iter_mut().flat_map(|message| message.readers.values_mut()) {
            keepers.retain(|other| !keeper(*other));
        }
    }

    /// The members who have not read each message.
    pub(crate) fn unread(&self) -> BTreeMap<Seq, BTreeSet<UserId>> {
        let by = |message: &Message| {
            let has_read = |user| {
                let keepers = message.readers.get(user);
                keepers.is_some_and(|keepers| keepers.iter().any(|keeper| keeper.is_in_service()))
            };
            self.members.iter().filter(|user| !has_read(*user)).copied().collect()
        };
        self.messages.iter().map(|message| (message.seq, by(message))).collect()
    }

    /// The first message up to `up_to` that never reached `user` in any way.
    pub(crate) fn unread_by(&self, user: UserId, up_to: Seq) -> Option<Seq> {
        let up_to = self.messages.iter().filter(|message| message.seq <= up_to);
        up_to
            .map(|message| (message.seq, message.readers.contains_key(&user)))
            .find(|(_, read)| !read)
            .map(|(seq, _)| seq)
    }

    /// The most that may not have read a message: everybody but its sender. Whoever left a moment ago may still be
    /// counted where that is not known yet.
    pub(crate) fn most(&self, seq: Seq) -> i64 {
        let message = self.messages.iter().find(|message| message.seq == seq);
        let sender = message.map(|message| message.sender);
        let others = self.lately.iter().filter(|user| Some(**user) != sender).count();
        i64::try_from(others).expect("there are few")
    }

    pub(crate) fn members(&self) -> &BTreeSet<UserId> {
        &self.members
    }

    /// Another Redis has what this one knows.
    pub(crate) fn is_replicated(&mut self) {
        self.replicated.clone_from(&self.lately);
    }

    /// It takes over: whoever left since is a member to it, until the room is loaded.
    pub(crate) fn fails_over(&mut self) {
        self.lately.extend(&self.replicated);
    }

    /// Everybody knows who is a member.
    pub(crate) fn is_quiet(&mut self) {
        self.lately.clone_from(&self.members);
    }
}
