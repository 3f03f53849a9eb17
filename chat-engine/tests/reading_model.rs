//! Unread counts under random schedules: the production room and the production rules of positions, three
//! nodes whose replicas lag, tabs that come and go, nodes that die. At rest every tab shows what a naive model
//! computes that stores the set of readers of every message; on the way no count is ever out of range.
//!
//! A failure prints its seed; the schedule of a seed is always the same.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test ends where its assumptions do, and its numbers are small"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use chat_engine::{
    reading::{Change, Effect, Incarnation, Snapshot, state::RoomState},
    record::{Draft, Record},
    room::{Output, Past, ReadRange, Room, Subscriber, SubscriberId},
};
use shared::{RoomId, Seq, UserId};

const MEMBERS: i64 = 6;
const SCHEDULES: u64 = 3_000;

/// Random numbers that are the same for the same seed.
struct Dice(fastrand::Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    fn member(&mut self) -> UserId {
        user(1 + self.below(MEMBERS as usize) as i64)
    }
}

fn user(id: i64) -> UserId {
    id.try_into().unwrap()
}

/// What one open tab shows: the count of each message.
struct Tab {
    member: UserId,
    live: bool,
    shown: BTreeMap<Seq, i64>,
    /// What it wants before it is live.
    wants: Wants,
    recovered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Nothing,
    History(usize),
    After(Seq),
}

/// What a message shows before anybody has counted.
const UNCOUNTED: i64 = 0;

/// What a tab showed when its connection was lost.
struct Lost {
    member: UserId,
    shown: BTreeMap<Seq, i64>,
    last: Seq,
}

impl Tab {
    fn read(&mut self, changes: &[ReadRange]) {
        for change in changes {
            for (_, count) in
                self.shown.iter_mut().filter(|(seq, _)| change.from < **seq && **seq <= change.to)
            {
                *count += i64::from(change.by);
            }
        }
    }

    fn show(&mut self, record: &Record, unread: Option<u32>) {
        let repeated = self.shown.insert(record.seq, unread.map_or(UNCOUNTED, i64::from));
        assert!(!matches!(self.wants, Wants::After(_)) || repeated.is_none(), "{} came twice", record.seq);
    }

    fn reset(&mut self, steps: &[(Seq, u32)]) {
        for (seq, count) in &mut self.shown {
            let step = steps.iter().take_while(|(above, _)| above < seq).last();
            *count = i64::from(step.unwrap().1);
        }
    }
}

struct Node {
    incarnation: Incarnation,
    room: Room,
    tabs: HashMap<SubscriberId, Tab>,
    /// Changes that the authority has published and that have not arrived here.
    on_the_way: VecDeque<Change>,
    /// A snapshot was asked for.
    fetching: bool,
    worked: usize,
}

/// Three nodes, one authority, one log.
struct World {
    dice: Dice,
    now: Instant,
    authority: RoomState,
    nodes: Vec<Node>,
    log: Vec<Arc<Record>>,
    told: usize,
    next_id: u64,
    lost: Vec<Lost>,
    /// Below this every message counts as read by the member, whatever else happens.
    floors: HashMap<UserId, Seq>,
}

impl World {
    fn new(seed: u64) -> Self {
        let room = RoomId::try_from(1).unwrap();
        let node = |n| Node {
            incarnation: Incarnation(n),
            room: Room::new(room, Seq::ZERO),
            tabs: HashMap::new(),
            on_the_way: VecDeque::new(),
            fetching: false,
            worked: 0,
        };
        Self {
            dice: Dice::new(seed),
            now: Instant::now(),
            authority: RoomState::load((1..=MEMBERS).map(|id| (user(id), Seq::ZERO)), Seq::ZERO),
            nodes: (1..=3).map(node).collect(),
            log: Vec::new(),
            told: 0,
            next_id: 10,
            lost: Vec::new(),
            floors: HashMap::new(),
        }
    }

    fn publish(&mut self, change: Option<Change>) {
        for node in &mut self.nodes {
            node.on_the_way.extend(change);
        }
    }

    /// Carries out what node `n`'s room asks for.
    fn carry_out(&mut self, n: usize, out: Vec<Output>) {
        let incarnation = self.nodes[n].incarnation;
        for output in out {
            let tabs = &mut self.nodes[n].tabs;
            let everybody = tabs.values_mut().filter(|tab| tab.live);
            match output {
                Output::Record((record, unread)) => everybody.for_each(|tab| tab.show(&record, unread)),
                Output::Read(changes) => everybody.for_each(|tab| tab.read(&changes)),
                Output::Reset(steps) => everybody.for_each(|tab| tab.reset(&steps)),
                Output::History(to, records) => {
                    let tab = tabs.get_mut(&to).unwrap();
                    let count = |unread: Option<u32>| unread.map_or(UNCOUNTED, i64::from);
                    tab.shown.extend(records.iter().map(|(r, unread)| (r.seq, count(*unread))));
                }
                Output::Past(records) => {
                    for ((record, unread), to) in records {
                        for id in to {
                            tabs.get_mut(&id).unwrap().show(&record, unread);
                        }
                    }
                }
                Output::ResetOf(to, steps) => {
                    for id in to {
                        tabs.get_mut(&id).unwrap().reset(&steps);
                    }
                }
                Output::Recovered(id, recovered) => tabs.get_mut(&id).unwrap().recovered = recovered,
                Output::Added(id) => tabs.get_mut(&id).unwrap().live = true,
                Output::FetchSnapshot => self.nodes[n].fetching = true,
                Output::Enter(member) => {
                    let change = self.authority.enter(member, incarnation);
                    self.publish(change);
                }
                Output::Leave { user, taken } => {
                    // The driver may repeat a call: the second changes nothing.
                    for _ in 0..=self.dice.below(2) {
                        let change = self.authority.leave(user, incarnation, taken);
                        self.publish(change);
                    }
                }
            }
        }
    }

    fn subscribe(&mut self, n: usize) {
        let wants = match self.dice.below(9) {
            0 => Wants::Nothing,
            history => Wants::History(history),
        };
        let tab =
            Tab { member: self.dice.member(), live: false, shown: BTreeMap::new(), wants, recovered: false };
        self.arrive(n, tab);
    }

    /// A tab that lost its connection comes back, perhaps to another node.
    fn resume(&mut self, n: usize) {
        if self.lost.is_empty() {
            return;
        }
        let at = self.dice.below(self.lost.len());
        let Lost { member, shown, last } = self.lost.swap_remove(at);
        self.arrive(n, Tab { member, live: false, shown, wants: Wants::After(last), recovered: false });
    }

    fn arrive(&mut self, n: usize, tab: Tab) {
        let id = SubscriberId(self.next_id);
        self.next_id += 1;
        let subscriber = Subscriber { id, user: tab.member, reads: true };
        let wants_past = tab.wants != Wants::Nothing;
        self.nodes[n].tabs.insert(id, tab);
        let mut out = Vec::new();
        self.nodes[n].room.subscribe(subscriber, wants_past, self.now, &mut out);
        self.carry_out(n, out);
        if self.dice.below(2) == 0 {
            self.let_in(n);
        }
    }

    /// What those who arrive at node `n` wait for has come.
    fn let_in(&mut self, n: usize) {
        if !self.nodes[n].room.is_ready() {
            return;
        }
        let worked = self.log[..self.nodes[n].worked].to_vec();
        let head = worked.last().map_or(Seq::ZERO, |record| record.seq);
        let past = |tab: &Tab| match tab.wants {
            Wants::Nothing => None,
            Wants::History(count) => {
                Some(Past::History(worked[worked.len().saturating_sub(count)..].to_vec()))
            }
            Wants::After(after) => (after <= head).then(|| {
                let missed = worked.iter().filter(|record| record.seq > after);
                Past::Missed(missed.cloned().collect())
            }),
        };
        let arriving: BTreeMap<_, _> = self.nodes[n].tabs.iter().filter(|(_, tab)| !tab.live).collect();
        let pasts = arriving.into_iter().filter_map(|(id, tab)| Some((*id, past(tab)?))).collect();
        let mut out = Vec::new();
        self.nodes[n].room.arrive(pasts, &mut out);
        self.carry_out(n, out);
    }

    fn ask_history(&mut self, n: usize) {
        let live: BTreeSet<_> =
            self.nodes[n].tabs.iter().filter(|(_, t)| t.live).map(|(id, _)| *id).collect();
        let Some(id) = live.into_iter().next() else { return };
        let (count, mut out) = (1 + self.dice.below(12), Vec::new());
        let records = self.records(n, count);
        self.nodes[n].room.history(id, &records, &mut out);
        self.carry_out(n, out);
    }

    /// The last `count` records that node `n` has worked through.
    fn records(&self, n: usize, count: usize) -> Vec<Arc<Record>> {
        let worked = self.nodes[n].worked;
        self.log[worked.saturating_sub(count)..worked].to_vec()
    }

    fn unsubscribe(&mut self, n: usize) {
        let ids: BTreeSet<_> = self.nodes[n].tabs.keys().copied().collect();
        let Some(id) = ids.into_iter().nth(self.dice.below(self.nodes[n].tabs.len().max(1))) else { return };
        let last = self.nodes[n].room.head();
        if let Some(Tab { member, live: true, shown, .. }) = self.nodes[n].tabs.remove(&id) {
            self.lost.push(Lost { member, shown, last });
        }
        let mut out = Vec::new();
        self.nodes[n].room.unsubscribe(id, None, &mut out);
        self.carry_out(n, out);
        // A node forgets a room that nobody follows, and with it the changes on their way.
        if self.nodes[n].room.is_idle() {
            self.forget(n);
        }
    }

    fn forget(&mut self, n: usize) {
        let head = self.nodes[n].room.head();
        let node = &mut self.nodes[n];
        node.room = Room::new(node.room.id(), head);
        node.on_the_way.clear();
        node.fetching = false;
    }

    /// A node dies; another takes its members over, at a checkpoint.
    fn die(&mut self, n: usize) {
        let worked = self.nodes[n].worked;
        let checkpoint = self.log[..worked].iter().rev().nth(self.dice.below(4)).map_or(Seq::ZERO, |r| r.seq);
        let members: BTreeSet<UserId> =
            self.nodes[n].tabs.values().filter(|tab| tab.live).map(|tab| tab.member).collect();
        let incarnation = self.nodes[n].incarnation;
        for member in members {
            let change = self.authority.leave(member, incarnation, checkpoint);
            self.publish(change);
        }
        self.nodes[n].tabs.clear();
        self.nodes[n].incarnation = Incarnation(incarnation.0 + 3);
        self.forget(n);
    }

    fn send(&mut self) {
        let sender = self.dice.member();
        // Not dense, as in a partition that other rooms share.
        let seq = Seq::from_raw(self.log.last().map_or(0, |r| r.seq.get()) + 1 + self.dice.below(3) as i64)
            .unwrap();
        let draft = Draft::message(RoomId::try_from(1).unwrap(), sender, None, None, "x");
        self.log.push(Arc::new(Record { seq, draft }));
    }

    fn tell_next(&mut self) {
        let Some(record) = self.log.get(self.told) else { return };
        let change = self.authority.tell(record.seq, record.draft.user, Effect::Sent);
        // At least once, and in order: the last one may be told again.
        assert_eq!(self.authority.tell(record.seq, record.draft.user, Effect::Sent), None);
        self.told += 1;
        self.publish(change);
    }

    fn work_next(&mut self, n: usize) {
        let Some(record) = self.log.get(self.nodes[n].worked).cloned() else { return };
        self.nodes[n].worked += 1;
        let mut out = Vec::new();
        self.nodes[n].room.record(&record, self.now, &mut out);
        self.carry_out(n, out);
    }

    fn change_next(&mut self, n: usize) {
        let Some(change) = self.nodes[n].on_the_way.pop_front() else { return };
        // Some are lost, some come twice: a node finds out and asks for a snapshot.
        let times = if self.dice.below(200) == 0 { 0 } else { 1 + usize::from(self.dice.below(20) == 0) };
        let mut out = Vec::new();
        for _ in 0..times {
            self.nodes[n].room.change(change, self.now, &mut out);
        }
        self.carry_out(n, out);
    }

    fn answer_snapshot(&mut self, n: usize) {
        if !std::mem::take(&mut self.nodes[n].fetching) {
            return;
        }
        let (snapshot, mut out) = (self.authority.snapshot(), Vec::new());
        self.nodes[n].room.snapshot(snapshot, self.now, &mut out);
        self.carry_out(n, out);
    }

    fn flush(&mut self, n: usize) {
        self.now += Duration::from_millis(200);
        let mut out = Vec::new();
        self.nodes[n].room.flush_due(self.now, &mut out);
        self.carry_out(n, out);
    }

    fn step(&mut self) {
        let n = self.dice.below(3);
        match self.dice.below(100) {
            0..9 => self.subscribe(n),
            9..14 => self.resume(n),
            14..18 => self.let_in(n),
            18..32 => self.unsubscribe(n),
            32..46 => self.send(),
            46..48 => self.die(n),
            48..52 => {
                let (member, at) = (self.dice.member(), self.dice.below(self.log.len() + 1));
                let seq = self.log.get(at).map_or(Seq::ZERO, |record| record.seq);
                let change = self.authority.advance(member, seq);
                self.publish(change);
            }
            52..58 => self.tell_next(),
            58..72 => self.work_next(n),
            72..84 => self.change_next(n),
            84..92 => self.answer_snapshot(n),
            92..96 => self.ask_history(n),
            _ => self.flush(n),
        }
        self.check_on_the_way();
    }

    fn check_on_the_way(&mut self) {
        for tab in self.nodes.iter().flat_map(|node| node.tabs.values()) {
            let out_of_range = tab.shown.values().any(|count| !(0..=MEMBERS).contains(count));
            assert!(!out_of_range, "a count out of range: {:?}", tab.shown);
        }
        for (member, position) in self.authority.snapshot().positions {
            let floor = self.floors.entry(member).or_default();
            assert!(position >= *floor, "{member:?} went back from {floor} to {position}");
            *floor = position;
        }
    }

    /// Lets everything arrive. A lost change shows at the next one's version, or when the version is checked.
    fn settle(&mut self) {
        // Whoever is let in enters, which is one more change for the nodes before.
        while self.nodes.iter().any(|node| node.fetching) {
            (0..3).for_each(|n| self.answer_snapshot(n));
        }
        for n in 0..3 {
            while self.nodes[n].worked < self.log.len() {
                self.work_next(n);
            }
            self.let_in(n);
        }
        while self.told < self.log.len() {
            self.tell_next();
        }
        for n in 0..3 {
            while self.nodes[n].worked < self.log.len() {
                self.work_next(n);
            }
            while let Some(change) = self.nodes[n].on_the_way.pop_front() {
                let mut out = Vec::new();
                self.nodes[n].room.change(change, self.now, &mut out);
                self.carry_out(n, out);
            }
            // A silent room whose version is behind has missed its last change.
            let snapshot = self.authority.snapshot();
            if self.nodes[n].room.version().is_some_and(|version| version < snapshot.version) {
                let mut out = Vec::new();
                self.nodes[n].room.snapshot(snapshot, self.now, &mut out);
                self.carry_out(n, out);
            }
            self.flush(n);
        }
    }

    fn check_at_rest(&self) {
        let positions = self.authority.snapshot().positions;
        for (n, node) in self.nodes.iter().enumerate() {
            for tab in node.tabs.values() {
                assert!(tab.live, "somebody is not let in");
                let resumed = matches!(tab.wants, Wants::After(_));
                assert!(!resumed || tab.recovered, "a resume that is not told to be one");
                let first = tab.shown.keys().next();
                let since = first.map(|first| self.log.iter().filter(|record| record.seq >= *first).count());
                assert!(!resumed || since.is_none_or(|since| since == tab.shown.len()), "a gap");
                for (seq, shown) in &tab.shown {
                    let unread = positions.iter().filter(|(_, position)| position < seq).count() as i64;
                    assert_eq!(*shown, unread, "node {n}, {:?}, seq {seq}", tab.member);
                }
            }
        }
    }
}

#[test]
fn at_rest_every_tab_shows_what_the_authority_computes() {
    for seed in 0..SCHEDULES {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..30 + world.dice.below(170) {
                world.step();
            }
            world.settle();
            world.check_at_rest();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn what_may_be_missed_while_positions_are_fetched_is_fetched_again() {
    let mut room = Room::new(RoomId::try_from(1).unwrap(), Seq::ZERO);
    let (mut out, now) = (Vec::new(), Instant::now());
    let subscriber = Subscriber { id: SubscriberId(1), user: user(1), reads: false };
    room.subscribe(subscriber, false, now, &mut out);
    assert_eq!(std::mem::take(&mut out), [Output::FetchSnapshot]);
    // The connection on which it follows the room breaks meanwhile.
    room.resync(&mut out);
    assert_eq!(out, []);
    let snapshot = |version| Snapshot { version, positions: Vec::new() };
    room.snapshot(snapshot(7), now, &mut out);
    assert!(std::mem::take(&mut out).contains(&Output::FetchSnapshot));
    room.snapshot(snapshot(8), now, &mut out);
    assert!(!out.contains(&Output::FetchSnapshot), "once");
}
