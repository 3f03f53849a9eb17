//! Three nodes, their tabs, and what may happen to them.

mod schedule;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use chat_engine::{
    reading::{
        Change, Effect, Incarnation, Life,
        state::{Buried, Checkpoint, RoomState},
    },
    record::{Draft, Record},
    room::{Output, Past, Room, Subscriber, SubscriberId},
};
use shared::{RoomId, Seq, UserId};

use crate::{
    Dice, MEMBERS,
    tab::{Lost, Tab, UNCOUNTED, Wants},
    user,
};

/// What the authority publishes.
#[derive(Clone, Copy)]
enum News {
    Begun(Life),
    Changed(Change),
}

struct Node {
    incarnation: Incarnation,
    room: Room,
    tabs: HashMap<SubscriberId, Tab>,
    /// Changes that the authority has published and that have not arrived here.
    on_the_way: VecDeque<News>,
    /// A snapshot was asked for.
    fetching: bool,
    worked: usize,
}

/// Three nodes, one authority, one log.
pub(crate) struct World {
    pub(crate) dice: Dice,
    now: Instant,
    authority: RoomState,
    nodes: Vec<Node>,
    log: Vec<Arc<Record>>,
    told: usize,
    next_id: u64,
    lost: Vec<Lost>,
    /// What PostgreSQL has been told of positions, from which a lost authority is built anew.
    journal: HashMap<UserId, Seq>,
    lives: u64,
    incarnations: u64,
    /// Below this every message counts as read by the member, unless the authority is lost.
    floors: HashMap<UserId, Seq>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
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
            authority: RoomState::load(Life(1), (1..=MEMBERS).map(|id| (user(id), Seq::ZERO)), Seq::ZERO),
            nodes: (1..=3).map(node).collect(),
            log: Vec::new(),
            told: 0,
            next_id: 10,
            lost: Vec::new(),
            journal: (1..=MEMBERS).map(|id| (user(id), Seq::ZERO)).collect(),
            lives: 1,
            incarnations: 3,
            floors: HashMap::new(),
        }
    }

    fn publish(&mut self, change: Option<Change>) {
        for node in &mut self.nodes {
            node.on_the_way.extend(change.map(News::Changed));
        }
    }

    fn note(&mut self, member: UserId, seq: Seq) {
        let noted = self.journal.entry(member).or_default();
        *noted = seq.max(*noted);
    }

    /// The authority loses everything, and is built anew from what PostgreSQL knows.
    fn lose_authority(&mut self) {
        self.lives += 1;
        let told = self.told.checked_sub(1).map_or(Seq::ZERO, |last| self.log[last].seq);
        self.authority = RoomState::load(Life(self.lives), self.journal.clone(), told);
        self.floors.clear();
        for node in &mut self.nodes {
            node.on_the_way.push_back(News::Begun(Life(self.lives)));
        }
    }

    /// Whoever was taken for dead and is not goes on as somebody new.
    fn begin_again(&mut self, n: usize) {
        self.incarnations += 1;
        self.nodes[n].incarnation = Incarnation(self.incarnations);
        let mut out = Vec::new();
        self.nodes[n].room.reassert(&mut out);
        self.carry_out(n, out);
    }

    /// A node is stopped for so long that another takes its members over. It does not know that when it goes on.
    fn freeze(&mut self, n: usize) {
        let incarnation = self.nodes[n].incarnation;
        for change in self.authority.bury(incarnation) {
            self.publish(Some(change));
        }
    }

    /// All that node `n` knows to be taken.
    fn checkpoint(&mut self, n: usize) {
        let checkpoint = Checkpoint { all: self.nodes[n].room.head(), own: Vec::new() };
        if self.authority.checkpoint(self.nodes[n].incarnation, Some(checkpoint)).is_err() {
            self.begin_again(n);
        }
    }

    fn hear(&mut self, n: usize, news: News, out: &mut Vec<Output>) {
        let room = &mut self.nodes[n].room;
        match news {
            News::Begun(life) => room.latest(life, 1, out),
            News::Changed(change) => room.change(change, self.now, out),
        }
    }

    /// Carries out what node `n`'s room asks for.
    fn carry_out(&mut self, n: usize, out: Vec<Output>) {
        for output in out {
            let incarnation = self.nodes[n].incarnation;
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
                Output::Enter(member) => match self.authority.enter(member, incarnation) {
                    Ok(change) => self.publish(change),
                    Err(Buried) => self.begin_again(n),
                },
                Output::Leave { user, taken } => {
                    self.note(user, taken);
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

    /// A node dies; another takes its members over, at the last checkpoint.
    fn die(&mut self, n: usize) {
        self.freeze(n);
        self.nodes[n].tabs.clear();
        self.incarnations += 1;
        self.nodes[n].incarnation = Incarnation(self.incarnations);
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
        let Some(record) = self.log.get(self.told).cloned() else { return };
        let change = self.authority.tell(record.seq, record.draft.user, Effect::Sent);
        // At least once, and in order: the last one may be told again.
        assert_eq!(self.authority.tell(record.seq, record.draft.user, Effect::Sent), None);
        self.told += 1;
        self.note(record.draft.user, record.seq);
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
        let Some(news) = self.nodes[n].on_the_way.pop_front() else { return };
        // Some are lost, some come twice: a node finds out and asks for a snapshot.
        let times = if self.dice.below(200) == 0 { 0 } else { 1 + usize::from(self.dice.below(20) == 0) };
        let mut out = Vec::new();
        for _ in 0..times {
            self.hear(n, news, &mut out);
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
}
