//! An inbox under random schedules.

use super::*;

/// Random doings, and after each quiet point what everybody was told last is what a naive model counts.
#[test]
fn what_was_told_last_is_what_a_naive_model_counts() {
    for seed in 0..300 {
        Schedule::new(seed).run();
    }
}

struct Schedule {
    seed: u64,
    dice: fastrand::Rng,
    inbox: Inbox,
    now: Instant,
    /// Every message: its sender, and whether it is deleted.
    messages: Vec<(i64, i64, bool)>,
    head: i64,
    version: u64,
    /// Where everybody stands at the authority.
    authority: HashMap<i64, Option<i64>>,
    /// An answer on its way, as of when it was made.
    asked: Option<Vec<UserId>>,
    rows: Option<Recent>,
    shown: HashMap<SubscriberId, State>,
    floor: i64,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let floor = dice.i64(0..40);
        let mut messages: Vec<_> = (1..60).map(|n| (n, dice.i64(1..=4), dice.u8(0..8) == 0)).collect();
        messages.retain(|(n, ..)| n % 3 != 0);
        let last = messages.last().filter(|(n, ..)| *n > floor).map(Self::record);
        let authority = (1..=4).map(|id| (id, dice.bool().then(|| dice.i64(0..60)))).collect();
        Self {
            seed,
            dice,
            inbox: Inbox::new(seq(floor), last.as_ref()),
            now: Instant::now(),
            messages,
            head: 60,
            version: 1,
            authority,
            asked: None,
            rows: None,
            shown: HashMap::new(),
            floor,
        }
    }

    /// As it is in memory or in a row.
    fn record((n, sender, is_deleted): &(i64, i64, bool)) -> Arc<Record> {
        let record = said(*n, *sender);
        if !is_deleted {
            return record;
        }
        let mut folded = vec![record, deleted(1_000, *n)];
        fold(&mut folded);
        folded.swap_remove(0)
    }

    fn run(mut self) {
        for _ in 0..150 {
            self.step();
            self.look();
            if self.dice.u8(0..10) == 0 {
                self.quiet();
            }
        }
        self.quiet();
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.dice.u64(0..700));
        let who = self.dice.i64(1..=4);
        match self.dice.u8(0..12) {
            0 => self.inbox.attach(
                user(who),
                id(self.dice.u64(0..2) + 10 * who.cast_unsigned()),
                false,
                self.now,
            ),
            1 if self.dice.bool() => {
                let one = id(self.dice.u64(0..2) + 10 * who.cast_unsigned());
                self.inbox.detach(user(who), one, self.now);
                self.shown.remove(&one);
            }
            2..5 => {
                self.head += 1;
                self.messages.push((self.head, who, false));
                self.inbox.record(&said(self.head, who), self.now);
                // Told later, as the history does it.
                if let Some(position) = self.authority[&who] {
                    self.moves(who, Some(position.max(self.head)));
                }
            }
            5 => {
                let at = self.dice.usize(0..self.messages.len());
                self.messages[at].2 = true;
                self.head += 1;
                self.inbox.record(&deleted(self.head, self.messages[at].0), self.now);
            }
            6..8 => {
                // They begin to read, or end.
                let own =
                    self.messages.iter().filter(|(_, sender, _)| *sender == who).map(|(n, ..)| *n).max();
                match self.authority[&who] {
                    Some(_) => self.moves(who, None),
                    None => self.moves(who, Some(self.head.max(own.unwrap_or(0)))),
                }
            }
            8 => self.inbox.resync(),
            9 => self.ask(),
            10 => self.answer(),
            _ => self.answer_rows(),
        }
    }

    /// The authority moves somebody. One change in some is lost on its way.
    fn moves(&mut self, who: i64, to: Option<i64>) {
        self.version += 1;
        self.authority.insert(who, to);
        if self.dice.u8(0..8) > 0 {
            self.inbox.change(change(self.version, who, to), self.now);
        }
    }

    fn ask(&mut self) {
        if self.asked.is_none() && self.inbox.wants_positions() {
            self.asked = Some(self.inbox.ask().0);
        }
        if self.rows.is_none() && self.inbox.wants_rows() {
            self.rows = self.inbox.ask_rows(room(), Vec::new());
        }
    }

    fn answer(&mut self) {
        let Some(users) = self.asked.take() else { return };
        if self.dice.u8(0..5) == 0 {
            self.inbox.fail(self.now);
            return;
        }
        let positions = users.iter().map(|user| (*user, self.authority[&user.get()].map(seq))).collect();
        self.inbox.answer(MemberPositions { life: Life(1), version: self.version, positions }, self.now);
    }

    fn answer_rows(&mut self) {
        let Some(Recent { since, up_to, .. }) = self.rows.take() else { return };
        assert_eq!(up_to.get().max(self.floor), self.floor, "what is in memory is not read");
        let inside = |(n, ..): &&(i64, i64, bool)| *n <= up_to.get();
        let last = self.messages.iter().rfind(inside).map(|message| (*Self::record(message)).clone());
        let counted = self.messages.iter().filter(inside).filter(|(n, _, gone)| *n > since.get() && !gone);
        let counted = counted.map(|(n, sender, _)| (seq(*n), user(*sender))).collect();
        self.inbox.rows(Some(Latest { room: room(), last, counted, stored: up_to }), self.now);
    }

    fn look(&mut self) {
        if self.inbox.wants_rows() {
            let in_memory = self.messages.iter().rev().filter(|(n, ..)| *n > self.floor);
            let in_memory: Vec<_> = in_memory.map(Self::record).collect();
            self.inbox.recall(seq(self.floor), in_memory.iter(), self.now);
        }
        for Line { to, state } in self.inbox.look(self.now) {
            for id in to {
                self.shown.insert(id, state);
            }
        }
    }

    /// Everything that is on its way comes, a lost change is noticed, and time passes.
    fn quiet(&mut self) {
        self.version += 1;
        self.inbox.change(change(self.version, 9, None), self.now);
        for _ in 0..100 {
            self.ask();
            self.answer();
            self.answer_rows();
            self.look();
            self.now += SECOND;
        }
        assert_eq!(self.inbox.deadline(), None, "seed {}", self.seed);
        let listed = self.inbox.members.keys();
        let lowest = listed.filter_map(|user| self.authority[&user.get()]).min().unwrap_or(self.head);
        let kept = self.messages.iter().filter(|(n, _, gone)| *n > lowest && !gone).count();
        assert!(self.inbox.tally.len() <= kept, "seed {}: kept although everybody has read it", self.seed);
        for (user, member) in &self.inbox.members {
            let unread = self.unread(user.get());
            for id in &member.subscriptions {
                let state = self.shown.get(id).unwrap_or_else(|| panic!("seed {}: {id:?}", self.seed));
                assert_eq!(state.unread.unwrap().count, unread, "seed {}, {user:?}", self.seed);
            }
        }
    }

    fn unread(&self, who: i64) -> u32 {
        let Some(position) = self.authority[&who] else { return 0 };
        let there = |(n, _, gone): &&(i64, i64, bool)| *n > position && !gone;
        let own = self.messages.iter().filter(there).filter(|(_, sender, _)| *sender == who);
        let from = own.map(|(n, ..)| *n).max().unwrap_or(position);
        u32::try_from(self.messages.iter().filter(there).filter(|(n, ..)| *n > from).count()).unwrap()
    }
}
