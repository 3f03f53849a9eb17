//! Tabs: opened, closed, cut off, resumed elsewhere; what reaches them, and what they acknowledge.

use std::{collections::BTreeMap, sync::Arc};

use chat_engine::{
    record::{Record, RecordKind},
    room::{Past, Room, Subscriber, SubscriberId},
};
use shared::{Seq, UserId};

use super::{Fetch, NODES, Open, ROOMS, World, room_id};
use crate::{
    naive::Keeper,
    tab::{Answer, Lost, Mode, Tab, Wants},
};

/// Who has missed more begins anew.
const MAX_REPLAY: usize = 12;

/// A tab: its node, its room, its number there.
pub(super) type Place = (usize, usize, SubscriberId);

impl World {
    pub(super) fn subscribe(&mut self, n: usize) {
        let r = self.dice.below(ROOMS);
        // A node that has not heard of a leaving lets them in.
        let leaver = self.nodes[n].leavers.iter().find(|(room, _)| *room == r).map(|(_, user)| *user);
        let Some(member) = leaver.filter(|_| self.dice.below(4) == 0).or_else(|| self.somebody(r)) else {
            return;
        };
        let mode = match self.dice.below(10) {
            0 => Mode::Alarm,
            1 => Mode::Client,
            2 => Mode::Individual,
            _ => Mode::Auto,
        };
        let wants = match self.dice.below(9) {
            0 => Wants::Nothing,
            history => Wants::History(history),
        };
        self.arrive(n, r, Tab::new(member, mode, wants));
    }

    /// A tab that lost its connection comes back, perhaps to another node.
    pub(super) fn resume(&mut self, n: usize) {
        if self.lost.is_empty() {
            return;
        }
        let at = self.dice.below(self.lost.len());
        let Lost { room, member, mode, shown, last } = self.lost.swap_remove(at);
        if !self.members[room].contains(&member) {
            return;
        }
        let mut tab = Tab::new(member, mode, Wants::After(last));
        (tab.shown, tab.last, tab.is_stale) = (shown, last, true);
        self.arrive(n, room, tab);
    }

    pub(super) fn arrive(&mut self, n: usize, r: usize, tab: Tab) {
        let id = SubscriberId(self.number());
        let subscriber = Subscriber { id, user: tab.member, reads: tab.reads() };
        let wants_past = tab.wants.a_past();
        self.trace(|| {
            format!("{} opens {} in room {r} on node {n}: {:?} {:?}", tab.member, id.0, tab.mode, tab.wants)
        });
        let (worked, now) = (&self.history.log[..self.nodes[n].worked], self.now);
        let open = self.nodes[n].rooms.entry(r).or_insert_with(|| {
            let mut room = Room::new(room_id(r), worked.last().map_or(Seq::ZERO, |logged| logged.record.seq));
            let here = worked.iter().filter(|logged| logged.room == r && !logged.is_void);
            here.for_each(|logged| room.recall(&logged.record, now));
            Open {
                room,
                tabs: BTreeMap::new(),
                fetch: Fetch::None,
                follows: false,
                sessions: BTreeMap::new(),
                acknowledged: BTreeMap::new(),
            }
        });
        open.tabs.insert(id, tab);
        self.with_room(n, r, |room, now, out| room.subscribe(subscriber, wants_past, now, out));
        if self.dice.below(2) == 0 {
            self.let_in(n, r);
        }
    }

    /// What those who arrive wait for has come.
    pub(super) fn let_in(&mut self, n: usize, r: usize) {
        let Some(open) = self.nodes[n].rooms.get(&r).filter(|open| open.room.is_ready()) else { return };
        let worked = self.worked(n, r);
        let head = open.room.head();
        let last = |count: usize| {
            let shown = worked.iter().filter(|record| record.draft.target.is_none());
            let mut shown: Vec<_> = shown.rev().take(count).cloned().collect();
            shown.reverse();
            shown
        };
        let past = |tab: &Tab| match tab.wants {
            Wants::Nothing => None,
            Wants::History(count) => Some(Past::History(last(count))),
            Wants::After(after) => (after <= head).then(|| {
                let missed: Vec<_> = worked.iter().filter(|record| record.seq > after).cloned().collect();
                if missed.len() > MAX_REPLAY { Past::Lost(last(5)) } else { Past::Missed(missed) }
            }),
        };
        let arriving = open.tabs.iter().filter(|(_, tab)| !tab.live);
        let pasts: Vec<_> = arriving.filter_map(|(id, tab)| Some((*id, past(tab)?))).collect();
        if !pasts.is_empty() {
            self.with_room(n, r, |room, now, out| room.arrive(pasts, now, out));
        }
    }

    /// Records of a room that node `n` has worked through.
    fn worked(&self, n: usize, r: usize) -> Vec<Arc<Record>> {
        let worked = self.history.log[..self.nodes[n].worked].iter();
        worked
            .filter(|logged| logged.room == r && !logged.is_void)
            .map(|logged| logged.record.clone())
            .collect()
    }

    /// A tab of a node that is not frozen, or of any.
    pub(super) fn some_tab(&mut self, on_frozen: bool, filter: impl Fn(&Tab) -> bool) -> Option<Place> {
        let mut places = Vec::new();
        for n in (0..NODES).filter(|n| on_frozen || !self.nodes[*n].is_frozen) {
            for (r, open) in &self.nodes[n].rooms {
                places.extend(open.tabs.iter().filter(|(_, tab)| filter(tab)).map(|(id, _)| (n, *r, *id)));
            }
        }
        (!places.is_empty()).then(|| places[self.dice.below(places.len())])
    }

    fn tab(&mut self, (n, r, id): Place) -> &mut Tab {
        self.nodes[n].rooms.get_mut(&r).unwrap().tabs.get_mut(&id).unwrap()
    }

    /// Frames reach a tab.
    pub(super) fn deliver(&mut self, place: Place, count: usize) {
        let (n, r, id) = place;
        for _ in 0..count {
            let tab = self.tab(place);
            if tab.frames.is_empty() {
                return;
            }
            let reached = tab.take();
            let (member, reads) = (tab.member, tab.reads());
            if let Some(seq) = reached.filter(|_| reads) {
                let held = self.nodes[n].rooms[&r].sessions[&member];
                self.naive[r].read(member, seq, held);
            }
            self.check_shown(n, r, id);
        }
    }

    /// An older page is asked for.
    pub(super) fn ask_history(&mut self) {
        let Some((n, r, id)) = self.some_tab(false, |tab| tab.live) else { return };
        let (count, worked) = (1 + self.dice.below(12), self.worked(n, r));
        let shown: Vec<_> = worked.into_iter().filter(|record| record.draft.target.is_none()).collect();
        let records = shown[shown.len().saturating_sub(count)..].to_vec();
        self.trace(|| format!("{} on node {n} asks for {count} older ones", id.0));
        self.with_room(n, r, |room, now, out| room.history(id, &records, now, out));
    }

    /// A client acknowledges a message, or refuses it.
    pub(super) fn acknowledge(&mut self) {
        let waits =
            |tab: &Tab| matches!(tab.mode, Mode::Client | Mode::Individual) && !tab.to_answer.is_empty();
        let Some((n, r, id)) = self.some_tab(false, waits) else { return };
        let answer = if self.dice.below(8) == 0 { Answer::Nack } else { Answer::Ack };
        // Mostly in order.
        let place = (n, r, id);
        let open = self.tab(place).to_answer.iter().position(|(_, answer)| *answer == Answer::None);
        let at = if let Some(at) = open.filter(|_| self.dice.below(3) > 0) {
            at
        } else {
            let count = self.tab(place).to_answer.len();
            self.dice.below(count)
        };
        let member = self.tab(place).member;
        self.trace(|| format!("{} on node {n} answers {at}: {answer:?}", id.0));
        if let Some(seq) = self.tab(place).answer(at, answer) {
            let held = Keeper::Held(self.number());
            let open = self.nodes[n].rooms.get_mut(&r).unwrap();
            let held = *open.acknowledged.entry(member).or_insert(held);
            self.naive[r].read(member, seq, held);
            self.with_room(n, r, |room, now, _| room.acknowledge(id, seq, now));
        }
    }

    pub(super) fn unsubscribe(&mut self) {
        let Some((n, r, id)) = self.some_tab(false, |_| true) else { return };
        // Whether the client left, or its connection broke.
        let broke = self.dice.below(2) == 0;
        self.close(n, r, id, broke);
    }

    /// A tab is closed; it comes back where its connection only broke.
    pub(super) fn close(&mut self, n: usize, r: usize, id: SubscriberId, broke: bool) {
        let open = self.nodes[n].rooms.get_mut(&r).unwrap();
        let tab = open.tabs.remove(&id).unwrap();
        let reached = tab.reached().filter(|_| tab.live);
        self.trace(|| format!("{} on node {n} is closed, reached {reached:?}, broke {broke}", id.0));
        self.with_room(n, r, |room, _, out| room.unsubscribe(id, reached, out));
        if broke {
            self.keep(r, tab);
        }
    }

    pub(super) fn keep(&mut self, room: usize, tab: Tab) {
        if tab.last > Seq::ZERO {
            let lacks_a_page = tab.lacks_a_page();
            let Tab { member, mode, mut shown, last, .. } = tab;
            if lacks_a_page {
                // It knows of a gap in what is older, and drops that.
                shown.clear();
            }
            self.lost.push(Lost { room, member, mode, shown, last });
        }
    }

    /// The members who are reading a room, anywhere.
    pub(super) fn readers(&self, r: usize) -> impl Iterator<Item = UserId> {
        let tabs =
            self.nodes.iter().filter_map(move |node| node.rooms.get(&r)).flat_map(|open| open.tabs.values());
        tabs.filter(|tab| tab.live && tab.reads()).map(|tab| tab.member)
    }

    /// The next record of the log comes to node `n`.
    pub(super) fn work_next(&mut self, n: usize) {
        let Some(logged) = self.history.log.get(self.nodes[n].worked) else { return };
        let (r, record, is_void) = (logged.room, logged.record.clone(), logged.is_void);
        self.nodes[n].worked += 1;
        self.trace(|| format!("node {n} works {}", record.seq));
        self.with_room(
            n,
            r,
            |room, now, out| {
                if is_void { room.pass(record.seq) } else { room.record(&record, now, out) }
            },
        );
    }

    pub(super) fn is_message(record: &Record) -> bool {
        record.draft.kind == RecordKind::Message
    }
}
