//! Where the people stand who have the room in their list here, and nobody else: no replica of the room.
//!
//! Their positions are asked for together, with the life and the version that they are of, and kept by the room's
//! changes. Changes that come while somebody is asked about wait for the answer: it may be older or younger than they are.
//! A gap in the versions, another life, or what else may mean that a change was missed, is answered by asking about
//! everybody again.

use std::collections::{BTreeSet, HashMap, HashSet};

use shared::{Seq, UserId};

use crate::reading::{Change, Life, MemberPositions};

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not known yet.
    Unknown,
    /// They are reading now, or are no member: nothing is unread.
    Nowhere,
    /// They have read up to there.
    At(Seq),
}

impl From<Option<Seq>> for Standing {
    fn from(position: Option<Seq>) -> Self {
        position.map_or(Self::Nowhere, Self::At)
    }
}

#[derive(Debug)]
struct Person {
    standing: Standing,
    /// Changes up to this version are in it.
    version: u64,
    /// They are reading on this node: known here before the authority is told, or can be.
    reads_here: bool,
    /// They were, and what the authority says of that has not come. It knows whether they read on another node.
    has_left: bool,
}

#[derive(Debug, Default)]
pub(super) struct Standings {
    /// The life, and the version up to which its changes were worked through.
    feed: Option<(Life, u64)>,
    people: HashMap<UserId, Person>,
    /// How many of them stand somewhere.
    known: usize,
    /// Who is to be asked about.
    wanted: BTreeSet<UserId>,
    /// Who is being asked about.
    asked: Option<HashSet<UserId>>,
    /// Changes that came meanwhile.
    waiting: Vec<Change>,
    /// What the authority was said to have meanwhile.
    latest: Option<(Life, u64)>,
    /// What is being asked may be older than what was missed.
    again: bool,
    /// The room's changes come here.
    is_followed: bool,
}

impl Standings {
    pub(super) fn add(&mut self, user: UserId, reads_here: bool) {
        let person = Person { standing: Standing::Unknown, version: 0, reads_here, has_left: false };
        self.people.insert(user, person);
        self.wanted.insert(user);
    }

    pub(super) fn remove(&mut self, user: UserId) {
        let person = self.people.remove(&user);
        self.known -= usize::from(person.is_some_and(|person| person.standing != Standing::Unknown));
        self.wanted.remove(&user);
    }

    pub(super) fn of(&self, user: UserId) -> Standing {
        match self.people.get(&user) {
            Some(Person { reads_here: true, .. }) => Standing::Nowhere,
            Some(person) => person.standing,
            None => Standing::Unknown,
        }
    }

    /// The lowest place where somebody stands of whom that is known.
    pub(super) fn lowest(&self) -> Option<Seq> {
        let standings = self.people.values().filter(|person| !person.reads_here);
        standings
            .filter_map(|person| if let Standing::At(seq) = person.standing { Some(seq) } else { None })
            .min()
    }

    /// The life and the version that is known.
    #[cfg(test)]
    pub(super) fn version(&self) -> Option<(Life, u64)> {
        self.feed
    }

    /// Whether [`ask`](Self::ask) has somebody to ask about.
    pub(super) fn is_wanting(&self) -> bool {
        self.asked.is_none() && !self.wanted.is_empty()
    }

    /// Who is to be asked about now; to be followed by [`answer`](Self::answer) or [`fail`](Self::fail).
    pub(super) fn ask(&mut self) -> Vec<UserId> {
        let users: Vec<_> = std::mem::take(&mut self.wanted).into_iter().collect();
        self.asked = Some(users.iter().copied().collect());
        users
    }

    /// Whether the room's changes are to be followed before anybody is asked about. From here on they are.
    pub(super) fn follow(&mut self) -> bool {
        !std::mem::replace(&mut self.is_followed, true)
    }

    /// There is no answer. Returns who has moved meanwhile.
    pub(super) fn fail(&mut self) -> Vec<UserId> {
        self.is_followed = false;
        let asked = self.asked.take().unwrap_or_default();
        self.wanted.extend(asked.iter().filter(|user| self.people.contains_key(user)));
        // Whoever is asked about again is asked about behind these.
        let waiting = std::mem::take(&mut self.waiting);
        let mut moved: Vec<_> = waiting.into_iter().filter_map(|change| self.change(change)).collect();
        for user in asked {
            if let Some(person) = self.people.get_mut(&user).filter(|person| person.has_left) {
                (person.standing, person.has_left) = (Standing::Unknown, false);
                self.known -= 1;
                moved.push(user);
            }
        }
        self.ask_again();
        moved
    }

    /// The answer. Returns who may have moved.
    pub(super) fn answer(&mut self, answer: MemberPositions) -> Vec<UserId> {
        let asked = self.asked.take().unwrap_or_default();
        let MemberPositions { life, version, positions } = answer;
        let goes_on = self.feed.is_some_and(|(known, at)| known == life && at <= version);
        let is_known = |person: &Person| person.standing != Standing::Unknown;
        // Not by looking at all of them: who comes is asked about alone, and thousands come.
        let asked_again = asked.iter().filter(|user| self.people.get(*user).is_some_and(is_known)).count();
        let nobody_else = asked_again == self.known;
        if !goes_on && !nobody_else {
            // What was known of the others is of another life.
            let others =
                self.people.iter().filter(|(user, person)| !asked.contains(user) && is_known(person));
            self.wanted.extend(others.map(|(user, _)| *user));
        }
        if !goes_on || nobody_else {
            self.feed = Some((life, version));
        }
        let mut moved = Vec::new();
        for (user, position) in positions {
            if let Some(person) = self.people.get_mut(&user) {
                self.known += usize::from(!is_known(person));
                (person.standing, person.version, person.has_left) = (position.into(), version, false);
                moved.push(user);
            }
        }
        for change in std::mem::take(&mut self.waiting) {
            moved.extend(self.change(change));
        }
        self.ask_again();
        moved
    }

    /// The answer may be older than what has come about meanwhile.
    fn ask_again(&mut self) {
        let lacks = self.latest.take().is_some_and(|(life, version)| self.lacks(life, version));
        if std::mem::take(&mut self.again) || lacks {
            self.want_everybody();
        }
    }

    /// The authority has moved somebody. Returns them if they are here and it is news.
    pub(super) fn change(&mut self, change: Change) -> Option<UserId> {
        if self.asked.is_some() {
            self.waiting.push(change);
            return None;
        }
        // Whoever is asked about later is asked about behind this.
        let (life, version) = self.feed?;
        if change.life != life || change.version > version + 1 {
            self.want_everybody();
            return None;
        }
        if change.version <= version {
            return None;
        }
        self.feed = Some((life, change.version));
        let person = self.people.get_mut(&change.user)?;
        if person.standing == Standing::Unknown || change.version <= person.version {
            return None;
        }
        person.standing = match (person.standing, change.to) {
            // They may have gone further by what this node knows.
            (Standing::At(from), Some(to)) => Standing::At(from.max(to)),
            (_, to) => to.into(),
        };
        person.has_left = false;
        Some(change.user)
    }

    /// What the authority has by now: a life that has just begun, or, where it is silent, its last version.
    pub(super) fn latest(&mut self, life: Life, version: u64) {
        if self.asked.is_some() {
            self.latest = Some((life, version));
        } else if self.lacks(life, version) {
            self.want_everybody();
        }
    }

    fn lacks(&self, life: Life, version: u64) -> bool {
        self.feed.is_some_and(|(known, at)| known != life || at < version)
    }

    /// Changes may have been missed.
    pub(super) fn resync(&mut self) {
        self.is_followed = false;
        self.again = self.asked.is_some();
        if !self.again {
            self.want_everybody();
        }
    }

    /// They have begun to read on this node. Returns whether they are here.
    pub(super) fn enter(&mut self, user: UserId) -> bool {
        let Some(person) = self.people.get_mut(&user) else { return false };
        person.has_left = false;
        !std::mem::replace(&mut person.reads_here, true)
    }

    /// They read on this node no longer, and have read up to `taken`, whether the authority can be told of it or not.
    pub(super) fn leave(&mut self, user: UserId, taken: Seq) -> bool {
        let Some(person) = self.people.get_mut(&user) else { return false };
        person.reads_here = false;
        match &mut person.standing {
            Standing::At(position) => *position = taken.max(*position),
            Standing::Nowhere => {
                // An authority that is away is not to leave them reading for as long as it is.
                person.has_left = true;
                self.wanted.insert(user);
            }
            Standing::Unknown => {}
        }
        true
    }

    fn want_everybody(&mut self) {
        self.wanted.extend(self.people.keys().copied());
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::{seq, user};

    use super::*;

    fn change(life: u64, version: u64, id: i64, to: Option<i64>) -> Change {
        Change { life: Life(life), version, user: user(id), to: to.map(seq) }
    }

    fn answer(life: u64, version: u64, positions: &[(i64, Option<i64>)]) -> MemberPositions {
        let positions = positions.iter().map(|(id, to)| (user(*id), to.map(seq))).collect();
        MemberPositions { life: Life(life), version, positions }
    }

    fn at(raw: i64) -> Standing {
        Standing::At(seq(raw))
    }

    /// Two people, known as of version 10 of life 1.
    fn known() -> Standings {
        let mut standings = Standings::default();
        standings.add(user(1), false);
        standings.add(user(2), false);
        assert_eq!(standings.ask(), [user(1), user(2)]);
        standings.answer(answer(1, 10, &[(1, Some(5)), (2, None)]));
        assert_eq!((standings.of(user(1)), standings.of(user(2))), (at(5), Standing::Nowhere));
        standings
    }

    #[test]
    fn changes_move_those_who_are_here() {
        let mut standings = known();
        assert_eq!(standings.change(change(1, 11, 1, Some(7))), Some(user(1)));
        assert_eq!(standings.change(change(1, 12, 9, Some(7))), None);
        assert_eq!(standings.change(change(1, 12, 1, Some(9))), None, "it was there already");
        assert_eq!(standings.change(change(1, 13, 2, Some(3))), Some(user(2)));
        assert_eq!((standings.of(user(1)), standings.of(user(2))), (at(7), at(3)));
        assert!(!standings.is_wanting());
    }

    #[test]
    fn after_a_gap_everybody_is_asked_about() {
        let mut standings = known();
        assert_eq!(standings.change(change(1, 12, 1, Some(7))), None);
        assert!(standings.is_wanting());
        assert_eq!(standings.ask(), [user(1), user(2)]);
        // Older and younger than the answer, which has the first of them.
        standings.change(change(1, 13, 2, Some(4)));
        standings.change(change(1, 14, 1, Some(9)));
        standings.answer(answer(1, 13, &[(1, Some(7)), (2, Some(4))]));
        assert_eq!((standings.of(user(1)), standings.of(user(2))), (at(9), at(4)));
        assert!(!standings.is_wanting());
        assert_eq!(standings.version(), Some((Life(1), 14)));
    }

    #[test]
    fn somebody_new_is_asked_about_alone_and_nothing_is_lost_for_the_others() {
        let mut standings = known();
        standings.add(user(3), false);
        assert_eq!(standings.ask(), [user(3)]);
        standings.change(change(1, 11, 3, Some(1)));
        standings.change(change(1, 12, 1, Some(8)));
        standings.change(change(1, 13, 3, Some(2)));
        // The first two are in it.
        standings.answer(answer(1, 12, &[(3, Some(1))]));
        assert_eq!((standings.of(user(1)), standings.of(user(3))), (at(8), at(2)));
        // An answer that is ahead of the changes.
        standings.add(user(4), false);
        standings.ask();
        standings.answer(answer(1, 15, &[(4, None)]));
        assert_eq!(standings.change(change(1, 14, 4, Some(3))), None, "before they began to read");
        assert_eq!(standings.change(change(1, 15, 4, None)), None);
        assert_eq!(standings.change(change(1, 16, 4, Some(6))), Some(user(4)));
        assert_eq!(standings.of(user(4)), at(6));
        assert!(!standings.is_wanting());
    }

    #[test]
    fn a_silent_room_that_is_ahead_is_asked() {
        let mut standings = known();
        standings.latest(Life(1), 11);
        assert_eq!(standings.ask(), [user(1), user(2)]);
        standings.latest(Life(1), 12);
        standings.answer(answer(1, 11, &[(1, Some(5)), (2, None)]));
        assert_eq!(standings.ask(), [user(1), user(2)], "the answer was older");
        standings.latest(Life(1), 12);
        standings.answer(answer(1, 12, &[(1, Some(6)), (2, None)]));
        assert!(!standings.is_wanting());
    }

    #[test]
    fn of_another_life_nothing_that_was_known_is_worth_anything() {
        let mut standings = known();
        standings.latest(Life(1), 10);
        assert!(!standings.is_wanting());
        standings.latest(Life(2), 1);
        assert_eq!(standings.ask(), [user(1), user(2)]);
        // A life that begins while it is asked about: either the answer is of it, or it is asked again.
        standings.latest(Life(2), 1);
        standings.answer(answer(2, 1, &[(1, Some(3)), (2, Some(3))]));
        assert_eq!(standings.of(user(1)), at(3), "it may have been lost how far they had got");
        assert!(!standings.is_wanting());
        standings.add(user(3), false);
        assert_eq!(standings.ask(), [user(3)]);
        standings.latest(Life(3), 1);
        standings.answer(answer(2, 1, &[(3, None)]));
        assert_eq!(standings.ask(), [user(1), user(2), user(3)]);
        standings.fail();
        // Told of by somebody new.
        let mut standings = known();
        standings.add(user(3), false);
        standings.ask();
        standings.answer(answer(2, 4, &[(3, None)]));
        assert_eq!(standings.ask(), [user(1), user(2)]);
        standings.answer(answer(2, 4, &[(1, None), (2, None)]));
        assert_eq!(standings.change(change(1, 11, 1, Some(7))), None);
        assert!(standings.is_wanting(), "what is of yet another life may be a newer one");
    }

    #[test]
    fn what_may_have_been_missed_is_asked_again_behind_what_is_being_asked() {
        let mut standings = known();
        standings.resync();
        assert_eq!(standings.ask().len(), 2);
        standings.resync();
        assert!(!standings.is_wanting());
        standings.answer(answer(1, 20, &[(1, Some(6)), (2, None)]));
        assert_eq!(standings.ask().len(), 2);
        standings.fail();
        assert_eq!(standings.ask().len(), 2);
    }

    #[test]
    fn who_reads_here_has_nothing_unread_and_has_read_what_they_took() {
        let mut standings = known();
        assert!(standings.enter(user(1)));
        assert_eq!(standings.of(user(1)), Standing::Nowhere);
        // The authority could not be told.
        assert!(standings.leave(user(1), seq(9)));
        assert_eq!(standings.of(user(1)), at(9));
        assert_eq!(standings.change(change(1, 11, 1, Some(7))), Some(user(1)));
        assert_eq!(standings.of(user(1)), at(9), "nobody goes back");
        assert!(!standings.enter(user(9)) && !standings.leave(user(9), seq(1)));
        standings.add(user(3), true);
        assert_eq!(standings.of(user(3)), Standing::Nowhere);
    }

    #[test]
    fn who_leaves_and_of_whom_nothing_can_be_heard_stands_nobody_knows_where() {
        let mut standings = known();
        // What the authority says of it comes by itself, or as the answer.
        for by_itself in [true, false] {
            let (_, version) = standings.version().unwrap();
            standings.enter(user(2));
            assert!(standings.leave(user(2), seq(9)));
            assert_eq!(standings.of(user(2)), Standing::Nowhere);
            assert_eq!(standings.ask(), [user(2)]);
            if by_itself {
                standings.change(change(1, version + 1, 2, Some(9)));
                assert_eq!(standings.fail(), [user(2)]);
                assert_eq!(standings.ask(), [user(2)]);
            }
            standings.answer(answer(1, version + 1, &[(2, Some(9))]));
            assert_eq!(standings.of(user(2)), at(9));
            standings.change(change(1, version + 1, 2, Some(9)));
            standings.change(change(1, version + 2, 2, None));
        }
        standings.leave(user(2), seq(9));
        standings.ask();
        assert_eq!(standings.fail(), [user(2)]);
        assert_eq!(standings.of(user(2)), Standing::Unknown);
        assert_eq!(standings.ask(), [user(2)]);
        let (life, version) = standings.version().unwrap();
        standings.answer(answer(life.0, version, &[(2, None)]));
        assert_eq!(standings.of(user(2)), Standing::Nowhere, "they read on another node");
    }
}
