//! Three nodes with their rooms and tabs, one log, Redis and PostgreSQL: what each does next is a matter of dice.

mod calls;
mod faults;
mod feed;
mod history;
mod people;
mod rest;
mod schedule;
mod store;
mod tabs;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use chat_engine::{
    reading::{Change, Incarnation, Life, Positions},
    record::Record,
    room::{MERGE_WINDOW, Output, Room, SubscriberId},
};
use shared::{RoomId, Seq, UserId};

use self::{calls::Call, history::History, store::Store};
use crate::{
    Dice,
    breaks::{Break, count_with},
    naive::{Keeper, Naive},
    tab::{Frame, Lost, Tab, Wants},
    user,
};

pub(crate) const NODES: usize = 3;
pub(crate) const ROOMS: usize = 3;
pub(crate) const PEOPLE: i64 = 20;
/// Who is a member at first; small rooms find the ends of counts.
const MEMBERS: [i64; ROOMS] = [20, 6, 3];
/// Who may become one.
const CANDIDATES: [i64; ROOMS] = [20, 8, 4];

/// What the authority publishes.
#[derive(Clone, Copy, Debug)]
enum News {
    Begun(Life),
    Changed(Change),
}

/// A room that is open on a node.
struct Open {
    room: Room,
    tabs: BTreeMap<SubscriberId, Tab>,
    fetch: Fetch,
    /// The node hears of changes.
    follows: bool,
    /// The node's memory of who is reading.
    sessions: BTreeMap<UserId, Keeper>,
    /// The room's memory of what was acknowledged and is still to be told.
    acknowledged: BTreeMap<UserId, Keeper>,
}

/// The positions that a room has asked for.
enum Fetch {
    None,
    /// Since which version of which life.
    Asked(Option<(Life, u64)>),
    /// They are on their way.
    Answered(Positions),
}

struct Node {
    incarnation: Incarnation,
    /// The number of the Redis that it knows of.
    known: u64,
    rooms: BTreeMap<usize, Open>,
    calls: VecDeque<Call>,
    /// How far somebody has read, as Redis was told lately: another one is told again.
    said: Vec<(usize, UserId, Seq, Keeper)>,
    /// To which Redis, and as whom.
    under: (u64, Incarnation),
    /// Rooms that it has listed for whoever has to bury it, and in which life of theirs.
    listed: BTreeMap<usize, Option<Life>>,
    /// In which Redis.
    listed_in: u64,
    /// Positions to be written into PostgreSQL.
    journal: Vec<(usize, UserId, Seq, Keeper)>,
    /// Records of the log that it has worked through.
    worked: usize,
    /// Changes that were published and have not arrived.
    feed: VecDeque<(usize, News)>,
    /// Who has left a room, which the node has not heard.
    leavers: VecDeque<(usize, UserId)>,
    is_frozen: bool,
    /// No way to Redis.
    is_cut: bool,
    /// No way to the log.
    is_behind: bool,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    breaking: Option<Break>,
    is_traced: bool,
    now: Instant,
    store: Store,
    nodes: Vec<Node>,
    history: History,
    naive: Vec<Naive>,
    /// The number of the last checkpoint of each room's node.
    checkpoints: BTreeMap<(usize, u64), u64>,
    /// Members, as PostgreSQL has them.
    members: Vec<BTreeSet<UserId>>,
    lost: Vec<Lost>,
    /// Numbers for tabs, incarnations and keepers.
    numbers: u64,
    /// Positions only move forward, for as long as a room lives and somebody is a member.
    before: BTreeMap<(usize, UserId), Seq>,
}

fn room_id(room: usize) -> RoomId {
    i64::try_from(room + 1).unwrap().try_into().unwrap()
}

impl World {
    pub(crate) fn new(seed: u64, breaking: Option<Break>, is_traced: bool) -> Self {
        let people = |count| (1..=count).map(user);
        let rows = MEMBERS.map(|count| people(count).map(|user| (user, Seq::ZERO)).collect());
        let mut world = Self {
            dice: Dice::new(seed),
            breaking,
            is_traced,
            now: Instant::now(),
            store: Store::new(rows.into(), breaking),
            nodes: Vec::new(),
            history: History::default(),
            naive: MEMBERS.map(|count| Naive::new(people(count))).into(),
            members: MEMBERS.map(|count| people(count).collect()).into(),
            checkpoints: BTreeMap::new(),
            lost: Vec::new(),
            numbers: 0,
            before: BTreeMap::new(),
        };
        for _ in 0..NODES {
            let node = world.start_node();
            world.nodes.push(node);
        }
        world
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn start_node(&mut self) -> Node {
        let incarnation = Incarnation(self.number());
        self.store.nodes.living.insert(incarnation.0);
        Node {
            incarnation,
            known: self.store.generation,
            rooms: BTreeMap::new(),
            calls: VecDeque::new(),
            said: Vec::new(),
            under: (self.store.generation, incarnation),
            listed: BTreeMap::new(),
            listed_in: 0,
            journal: Vec::new(),
            worked: self.history.log.len(),
            feed: VecDeque::new(),
            leavers: VecDeque::new(),
            is_frozen: false,
            is_cut: false,
            is_behind: false,
        }
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{}", what());
        }
    }

    fn later(&mut self) {
        self.now += Duration::from_millis(1 + self.dice.below(60) as u64);
    }

    /// Gives a room of a node an input, carries out what comes of it, and forgets the room when nobody needs it.
    fn with_room(&mut self, n: usize, r: usize, input: impl FnOnce(&mut Room, Instant, &mut Vec<Output>)) {
        let Some(open) = self.nodes[n].rooms.get_mut(&r) else { return };
        let mut out = Vec::new();
        input(&mut open.room, self.now, &mut out);
        // In no order of its own: here in the same at every run.
        let both_enter =
            |one: &Output, next: &Output| matches!((one, next), (Output::Enter(_), Output::Enter(_)));
        for entering in out.chunk_by_mut(both_enter) {
            entering.sort_by_key(|output| if let Output::Enter(user) = output { Some(*user) } else { None });
        }
        if self.breaking == Some(Break::Pending) {
            let mut told_later = Vec::new();
            open.room.clone().flush_due(self.now + MERGE_WINDOW, &mut told_later);
            count_with(&told_later, &mut out);
        }
        for output in out {
            self.carry_out(n, r, output);
        }
        let is_idle = self.nodes[n].rooms.get(&r).is_some_and(|open| open.room.is_idle());
        if is_idle {
            self.nodes[n].rooms.remove(&r);
            self.nodes[n].calls.push_back(Call::Close { room: r });
        }
    }

    fn with_every_room(&mut self, n: usize, input: impl Fn(&mut Room, &mut Vec<Output>)) {
        let rooms: Vec<_> = self.nodes[n].rooms.keys().copied().collect();
        for r in rooms {
            self.with_room(n, r, |room, _, out| input(room, out));
        }
    }

    fn carry_out(&mut self, n: usize, r: usize, output: Output) {
        self.trace(|| format!("    node {n}, room {r}: {}", brief(&output)));
        let known = self.nodes[n].known;
        let Some(open) = self.nodes[n].rooms.get_mut(&r) else { return };
        let everybody = |open: &mut Open, frame: &Frame| {
            open.tabs.values_mut().filter(|tab| tab.live).for_each(|tab| tab.frames.push_back(frame.clone()));
        };
        // Where a rule is broken, older messages are counted by who happens to know better.
        let elsewhere =
            (self.breaking == Some(Break::Order)).then(|| self.store.snapshot(r, known).ok()).flatten();
        let recount = |record: &Record, unread: Option<u32>| match &elsewhere {
            Some(snapshot) => unread.map(|_| {
                let before = snapshot.positions.iter().filter(|(_, at)| *at < record.seq).count();
                u32::try_from(before).unwrap()
            }),
            None => unread,
        };
        match output {
            Output::Record((record, unread)) => {
                everybody(open, &Frame::Record { record, unread, is_marked: true });
            }
            Output::Read(mut ranges) => {
                if self.breaking == Some(Break::Bound) {
                    for range in &mut ranges {
                        range.to = Seq::from_raw(i64::MAX >> 12).unwrap();
                    }
                }
                everybody(open, &Frame::Read(ranges));
            }
            Output::Reset(steps) => everybody(open, &Frame::Reset(steps)),
            Output::ResetOf(to, steps) => {
                for id in to {
                    open.tabs.get_mut(&id).unwrap().frames.push_back(Frame::Reset(steps.clone()));
                }
            }
            Output::History(to, records) => {
                let tab = open.tabs.get_mut(&to).unwrap();
                for (record, unread) in records {
                    let unread = recount(&record, unread);
                    tab.frames.push_back(Frame::Record { record, unread, is_marked: false });
                }
            }
            Output::Past(records) => {
                for ((record, unread), to) in records {
                    let unread = recount(&record, unread);
                    for id in to {
                        let frame = Frame::Record { record: record.clone(), unread, is_marked: true };
                        open.tabs.get_mut(&id).unwrap().frames.push_back(frame);
                    }
                }
            }
            Output::Recovered(id, recovered) => {
                open.tabs.get_mut(&id).unwrap().frames.push_back(Frame::Recovered(recovered));
            }
            Output::Added(id, _) => self.added(n, r, id),
            Output::FetchSnapshot => open.fetch = Fetch::Asked(open.room.version()),
            Output::Enter(user) => self.nodes[n].calls.push_back(Call::Enter { room: r, user }),
            Output::Leave { user, taken } => {
                let held = open.sessions.remove(&user).expect("they were reading");
                self.journal(n, r, user, taken, held);
                self.nodes[n].calls.push_back(Call::Leave { room: r, user, taken, held });
            }
            Output::ReadUpTo { user, seq } => {
                let held = open.acknowledged.remove(&user).expect("they acknowledged something");
                self.journal(n, r, user, seq, held);
                self.nodes[n].calls.push_back(Call::Read { room: r, user, seq, held });
            }
        }
    }

    /// What has reached a tab by now is read, if its subscription implies that.
    fn added(&mut self, n: usize, r: usize, id: SubscriberId) {
        let held = Keeper::Held(self.number());
        let open = self.nodes[n].rooms.get_mut(&r).unwrap();
        let tab = open.tabs.get_mut(&id).unwrap();
        tab.live = true;
        if tab.reads() {
            let held = *open.sessions.entry(tab.member).or_insert(held);
            let reached = tab.reached().unwrap_or(open.room.head());
            self.naive[r].read(tab.member, reached, held);
        }
    }
}

/// An output, without bodies.
fn brief(output: &Output) -> String {
    let counted = |(record, unread): &(Arc<Record>, Option<u32>)| format!("{}={unread:?}", record.seq);
    match output {
        Output::Record(record) => format!("Record({:?}, {})", record.0.draft.kind, counted(record)),
        Output::History(to, records) => {
            format!("History({}, {})", to.0, records.iter().map(counted).collect::<Vec<_>>().join(" "))
        }
        Output::Past(records) => {
            let records =
                records.iter().map(|(record, to)| format!("{} to {:?}", counted(record), plain(to)));
            format!("Past({})", records.collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn plain(ids: &[SubscriberId]) -> Vec<u64> {
    ids.iter().map(|id| id.0).collect()
}

impl Wants {
    /// Whether it waits for what came before.
    fn a_past(self) -> bool {
        self != Self::Nothing
    }
}
