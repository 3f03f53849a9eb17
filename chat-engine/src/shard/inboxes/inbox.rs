//! One room as those see it on this node who have it in their list of rooms: its last message, and how many messages each
//! of them has not read. A pure state machine, like the room itself: records, positions, rows and the time go in, lines
//! come out.
//!
//! Call any input, then [`look`](Inbox::look), which gives what is due; again when [`deadline`](Inbox::deadline) has come.

mod older;
mod telling;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Weak},
    time::Instant,
};

use shared::{Seq, UserId};

use super::{
    standings::{Standing, Standings},
    tally::{Tally, Unread},
};
use crate::{
    reading::{Change, Life, MemberPositions},
    record::{Record, RecordKind, present::fold},
    room::{COUNTS_PATIENCE, SubscriberId},
};

/// What is told of a room to one person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct State {
    /// `None` where that is not known at the moment.
    pub(super) unread: Option<Unread>,
    /// Where they stand; `None` also while they are reading.
    pub(super) read: Option<Seq>,
    /// Numbers what the last message says.
    last: u64,
}

/// A line that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Line {
    pub(in crate::shard) to: Vec<SubscriberId>,
    pub(in crate::shard) state: State,
}

/// Somebody who has the room in their list.
#[derive(Debug, Default)]
struct Member {
    subscriptions: Vec<SubscriberId>,
    /// Those of them that wait for their first line.
    fresh: Vec<SubscriberId>,
    told: Option<State>,
    told_at: Option<Instant>,
}

/// Rows that are being read.
#[derive(Debug)]
struct Asked {
    /// From behind this place on.
    since: Seq,
    /// Edits and deletions that may not be in them.
    changes: Vec<Arc<Record>>,
}

#[derive(Debug)]
pub(in crate::shard) struct Inbox {
    standings: Standings,
    tally: Tally,
    last: Option<Arc<Record>>,
    /// Whether it is known, or that there is none.
    knows_last: bool,
    last_number: u64,
    members: HashMap<UserId, Member>,
    /// From behind this place on messages are missed.
    reach: Option<Seq>,
    asked: Option<Asked>,
    /// Who may not have been told what is so by now, by the time when they may be.
    due: BTreeSet<(Instant, UserId)>,
    /// When everybody is to be looked at.
    round_at: Option<Instant>,
    last_round: Option<Instant>,
    /// When to let go of what everybody has read.
    let_go_at: Option<Instant>,
    /// Until when first lines wait for counts.
    patience: Option<Instant>,
    /// Who waits for a first line.
    fresh: HashSet<UserId>,
    /// Those of them who may get it now. Only they are looked at: thousands come and go in a room, each by themselves.
    ready: BTreeSet<UserId>,
    /// Numbers its lines.
    lines: u64,
    /// How often somebody was looked at.
    #[cfg(test)]
    visits: std::cell::Cell<usize>,
    /// Gone with this: nobody waits for what was asked.
    needed: Arc<()>,
}

impl Inbox {
    /// Of a room of which memory has everything after `floor`: this message is the last of them.
    pub(in crate::shard) fn new(floor: Seq, last: Option<&Arc<Record>>) -> Self {
        Self {
            standings: Standings::default(),
            // Nobody is here who has not read them.
            tally: Tally::new(last.map_or(floor, |last| last.seq.max(floor))),
            // Before the log's beginning there is nothing.
            knows_last: last.is_some() || floor == Seq::ZERO,
            last: last.cloned(),
            last_number: 0,
            members: HashMap::new(),
            reach: None,
            asked: None,
            due: BTreeSet::new(),
            round_at: None,
            last_round: None,
            let_go_at: None,
            patience: None,
            fresh: HashSet::new(),
            ready: BTreeSet::new(),
            lines: 0,
            #[cfg(test)]
            visits: std::cell::Cell::default(),
            needed: Arc::default(),
        }
    }

    /// Ends with this.
    pub(in crate::shard) fn needed(&self) -> Weak<()> {
        Arc::downgrade(&self.needed)
    }

    /// A number for a line.
    pub(in crate::shard) fn next_line(&mut self) -> u64 {
        self.lines += 1;
        self.lines
    }

    /// Whether nobody has the room in their list.
    pub(in crate::shard) fn is_idle(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether [`ask`](Self::ask) has somebody to ask about.
    pub(in crate::shard) fn wants_positions(&self) -> bool {
        self.standings.is_wanting()
    }

    /// The last message.
    pub(in crate::shard) fn last(&self) -> Option<&Arc<Record>> {
        self.last.as_ref()
    }

    /// A subscription of `user` wants to hear of the room.
    pub(in crate::shard) fn attach(
        &mut self,
        user: UserId,
        id: SubscriberId,
        reads_here: bool,
        now: Instant,
    ) {
        if !self.members.contains_key(&user) {
            self.standings.add(user, reads_here);
        }
        let member = self.members.entry(user).or_default();
        if member.subscriptions.contains(&id) {
            return;
        }
        member.subscriptions.push(id);
        member.fresh.push(id);
        self.fresh.insert(user);
        self.ready.insert(user);
        self.patience.get_or_insert(now + COUNTS_PATIENCE);
    }

    /// A subscription is over.
    pub(in crate::shard) fn detach(&mut self, user: UserId, id: SubscriberId, now: Instant) {
        let Some(member) = self.members.get_mut(&user) else { return };
        member.subscriptions.retain(|other| *other != id);
        member.fresh.retain(|other| *other != id);
        if member.fresh.is_empty() {
            self.fresh.remove(&user);
            self.ready.remove(&user);
        }
        if member.subscriptions.is_empty() {
            self.remove(user, now);
        }
    }

    /// Somebody is no longer a member: the subscriptions that are to hear of it.
    pub(in crate::shard) fn remove(&mut self, user: UserId, now: Instant) -> Vec<SubscriberId> {
        self.standings.remove(user);
        self.fresh.remove(&user);
        self.ready.remove(&user);
        self.let_go_later(now);
        self.members.remove(&user).map(|member| member.subscriptions).unwrap_or_default()
    }

    /// Everybody who has the room in their list.
    pub(in crate::shard) fn users(&self) -> Vec<UserId> {
        self.members.keys().copied().collect()
    }

    /// The next record of the room.
    pub(in crate::shard) fn record(&mut self, record: &Arc<Record>, now: Instant) {
        match (record.draft.kind, record.draft.target) {
            (RecordKind::Message, _) => {
                self.tally.push(record.seq, record.draft.user);
                self.let_go_later(now);
                self.last = Some(record.clone());
                self.last_number += 1;
                self.knows_last = true;
            }
            (RecordKind::Edited | RecordKind::Deleted, Some(target)) => {
                if record.draft.kind == RecordKind::Deleted {
                    self.tally.remove(target);
                }
                if let Some(asked) = &mut self.asked {
                    asked.changes.push(record.clone());
                }
                self.change_last(std::slice::from_ref(record));
            }
            _ => return,
        }
        self.look_at_everybody(now);
    }

    /// What became of the last message by these changes.
    fn change_last(&mut self, changes: &[Arc<Record>]) {
        let Some(last) = &self.last else { return };
        let mut folded: Vec<_> = [last].into_iter().chain(changes).cloned().collect();
        fold(&mut folded);
        if folded[0] != *last {
            self.last = Some(folded.swap_remove(0));
            self.last_number += 1;
        }
    }

    /// The authority has moved somebody.
    pub(in crate::shard) fn change(&mut self, change: Change, now: Instant) {
        if let Some(user) = self.standings.change(change) {
            self.moved(user, now);
        }
    }

    /// What the authority has by now.
    pub(in crate::shard) fn latest(&mut self, life: Life, version: u64) {
        self.standings.latest(life, version);
    }

    /// Somebody has begun to read the room on this node.
    pub(in crate::shard) fn enter(&mut self, user: UserId, now: Instant) {
        if self.standings.enter(user) {
            self.moved(user, now);
        }
    }

    /// Somebody reads the room on this node no longer, and has taken everything up to `taken`.
    pub(in crate::shard) fn leave(&mut self, user: UserId, taken: Seq, now: Instant) {
        if self.standings.leave(user, taken) {
            self.moved(user, now);
        }
    }

    /// Who was asked about stands there.
    pub(in crate::shard) fn answer(&mut self, answer: MemberPositions, now: Instant) {
        for user in self.standings.answer(answer) {
            self.moved(user, now);
        }
        if !self.knows_last {
            self.reach.get_or_insert(self.tally.floor());
        }
    }

    /// Who is to be asked about, and whether the room's changes are to be followed first.
    pub(in crate::shard) fn ask(&mut self) -> (Vec<UserId>, bool) {
        (self.standings.ask(), self.standings.follow())
    }

    /// There is no answer.
    pub(in crate::shard) fn fail(&mut self, now: Instant) {
        for user in self.standings.fail() {
            self.moved(user, now);
        }
    }

    /// Changes may have been missed.
    pub(in crate::shard) fn resync(&mut self) {
        self.standings.resync();
    }

    fn moved(&mut self, user: UserId, now: Instant) {
        if let Standing::At(position) = self.standings.of(user)
            && self.tally.lacks(position)
        {
            self.reach = Some(self.reach.map_or(position, |reach| reach.min(position)));
        }
        if self.fresh.contains(&user) {
            self.ready.insert(user);
        }
        self.let_go_later(now);
        self.look_at(user, now);
    }
}

#[cfg(test)]
mod tests;
