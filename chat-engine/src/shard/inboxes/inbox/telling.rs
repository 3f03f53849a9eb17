//! Who is told what is different for them, and when.

use std::time::{Duration, Instant};

use shared::UserId;

use super::{Inbox, Line, Member, Standing, State, Unread};

/// A person gets a line about a room this often at most: what happens in between is in the next one. That they read now
/// is told at once where something was unread, so that nobody sees a room that is open before them as unread.
pub(super) const PACE: Duration = Duration::from_secs(1);

impl Inbox {
    /// Somebody is to be told if something is different for them.
    pub(super) fn look_at(&mut self, user: UserId, now: Instant) {
        if let Some(member) = self.members.get(&user) {
            self.due.insert((self.may_hear_at(user, member, now), user));
        }
    }

    /// So is everybody.
    pub(super) fn look_at_everybody(&mut self, now: Instant) {
        let at = self.last_round.map_or(now, |last| now.max(last + PACE));
        self.round_at.get_or_insert(at);
    }

    /// When to [`look`](Self::look) again.
    pub(in crate::shard) fn deadline(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        [due, self.round_at, self.patience, self.let_go_at].into_iter().flatten().min()
    }

    /// What is due.
    pub(in crate::shard) fn look(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        let is_round = self.round_at.is_some_and(|at| at <= now);
        let uncounted = self.patience.is_some_and(|until| until <= now);
        if is_round || uncounted {
            self.ready.extend(&self.fresh);
        }
        self.greet(uncounted, now, &mut lines);
        if is_round {
            (self.round_at, self.last_round) = (None, Some(now));
            let everybody = self.members.iter();
            self.due.extend(everybody.map(|(user, member)| (paced(member, now), *user)));
        }
        while let Some((at, user)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            lines.extend(self.tell(user, now));
        }
        if self.let_go_at.is_some_and(|at| at <= now) {
            self.let_go();
        }
        lines
    }

    /// First lines for those who can have them; `uncounted`: for everybody, also without a count.
    fn greet(&mut self, uncounted: bool, now: Instant, lines: &mut Vec<Line>) {
        for user in std::mem::take(&mut self.ready) {
            let state = self.state(user);
            if state.unread.is_none() && !uncounted {
                continue;
            }
            self.fresh.remove(&user);
            let Some(member) = self.members.get_mut(&user) else { continue };
            let to = std::mem::take(&mut member.fresh);
            if to.len() == member.subscriptions.len() {
                member.told = Some(state);
            } else if member.told != Some(state) {
                // Of the others nobody has been told this, and of this one not what they were: the next line is for all.
                member.told = None;
                self.due.insert((now + PACE, user));
            }
            member.told_at = Some(now);
            lines.push(Line { to, state });
        }
        if self.fresh.is_empty() {
            self.patience = None;
        }
    }

    fn tell(&mut self, user: UserId, now: Instant) -> Option<Line> {
        let state = self.state(user);
        let may_hear_at = self.may_hear_at(user, self.members.get(&user)?, now);
        let member = self.members.get_mut(&user)?;
        // Who waits for a first line gets one with all of this.
        let to: Vec<_> =
            member.subscriptions.iter().filter(|id| !member.fresh.contains(id)).copied().collect();
        if to.is_empty() || member.told == Some(state) {
            return None;
        }
        if may_hear_at > now {
            self.due.insert((may_hear_at, user));
            return None;
        }
        (member.told, member.told_at) = (Some(state), Some(now));
        Some(Line { to, state })
    }

    fn may_hear_at(&self, user: UserId, member: &Member, now: Instant) -> Instant {
        let was_unread =
            member.told.and_then(|told| told.unread).is_some_and(|unread| unread != Unread::default());
        if was_unread && self.standings.of(user) == Standing::Nowhere { now } else { paced(member, now) }
    }

    fn state(&self, user: UserId) -> State {
        #[cfg(test)]
        self.visits.set(self.visits.get() + 1);
        let mut state = State { unread: None, read: None, last: self.last_number };
        match self.standings.of(user) {
            _ if !self.knows_last => {}
            Standing::Unknown => {}
            Standing::Nowhere => state.unread = Some(Unread::default()),
            Standing::At(position) if self.tally.lacks(position) => {}
            Standing::At(position) => {
                let (unread, read) = self.tally.unread(user, position);
                (state.unread, state.read) = (Some(unread), Some(read));
            }
        }
        state
    }
}

fn paced(member: &Member, now: Instant) -> Instant {
    member.told_at.map_or(now, |at| now.max(at + PACE))
}
