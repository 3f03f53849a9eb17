//! Lists of rooms: feeds the inboxes of a shard's rooms, asks what they want to know, and writes their lines.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use shared::{RoomId, UserId};

use super::Worker;
use crate::{
    connection::{CloseReason, Message},
    history::Recent,
    reading::Question,
    shard::{
        FirstRound, InboxInput, InboxOutlet, Input, ROOMS,
        inboxes::{GoneLine, Inbox, Line, Lines},
    },
};

/// Between two attempts to learn what could not be asked.
const RETRY: Duration = Duration::from_millis(200);

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

impl Worker {
    pub(super) fn inbox_input(&mut self, input: InboxInput) {
        match input {
            InboxInput::Begin { outlet, rooms, round, taken } => {
                drop(taken);
                if !rooms.is_empty() {
                    self.attach(&outlet, &rooms, round);
                }
            }
            InboxInput::Joined { room, outlets } => {
                for outlet in outlets {
                    self.attach(&outlet, &[room], None);
                }
            }
            InboxInput::Left { room, user, reason } => self.leave_inbox(room, user, reason),
            InboxInput::End(id) => {
                let Some((user, rooms)) = self.inboxes.end(id) else { return };
                for room in rooms {
                    self.with_inbox(room, |inbox, now| inbox.detach(user, id, now));
                }
            }
            InboxInput::Positions(room, needed, positions) => {
                self.inboxes.positions_answered();
                if needed.strong_count() > 0 {
                    self.with_inbox(room, |inbox, now| match positions {
                        Some(positions) => inbox.answer(positions, now),
                        None => inbox.fail(now),
                    });
                }
            }
            InboxInput::Rows(rooms) => {
                self.inboxes.rows_answered();
                for (room, needed, latest) in rooms {
                    if needed.strong_count() > 0 {
                        self.with_inbox(room, |inbox, now| inbox.rows(latest, now));
                    }
                }
            }
        }
    }

    /// These rooms are in somebody's list.
    fn attach(&mut self, outlet: &Arc<InboxOutlet>, rooms: &[RoomId], round: Option<Arc<FirstRound>>) {
        self.inboxes.listen(outlet, rooms, round);
        for room in rooms {
            let open = self.rooms.get(room);
            let reads_here = open.is_some_and(|open| open.room.is_reading(outlet.user));
            let tail = &self.tail;
            let new = || Inbox::new(tail.floor(*room), tail.messages(*room).next());
            self.inboxes.rooms.entry(*room).or_insert_with(new);
            self.with_inbox(*room, |inbox, now| inbox.attach(outlet.user, outlet.id, reads_here, now));
        }
    }

    /// Gives a room's inbox an input, and carries out what comes of it; forgets it when nobody has the room in their list.
    pub(super) fn with_inbox(&mut self, room: RoomId, input: impl FnOnce(&mut Inbox, Instant)) {
        let Some(inbox) = self.inboxes.rooms.get_mut(&room) else { return };
        let now = Instant::now();
        input(inbox, now);
        if inbox.wants_rows() {
            inbox.recall(self.tail.floor(room), self.tail.messages(room), now);
        }
        let lines = inbox.look(now);
        if let Some(deadline) = inbox.deadline() {
            self.timers.set(room, deadline);
        }
        if inbox.is_idle() {
            self.inboxes.rooms.remove(&room);
            if !self.rooms.contains_key(&room) {
                self.deps.reading.forget(room);
            }
            return;
        }
        self.write_lines(room, lines);
        self.inboxes.want(room);
    }

    pub(super) fn with_every_inbox(&mut self, input: impl Fn(&mut Inbox)) {
        let rooms: Vec<_> = self.inboxes.rooms.keys().copied().collect();
        for room in rooms {
            self.with_inbox(room, |inbox, _| input(inbox));
        }
    }

    fn write_lines(&mut self, room: RoomId, lines: Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        let Some(inbox) = self.inboxes.rooms.get_mut(&room) else { return };
        let words = Lines::new(room, inbox.last());
        let numbered: Vec<_> = lines.into_iter().map(|line| (inbox.next_line(), line)).collect();
        for (number, Line { to, state }) in numbered {
            self.push_line(room, number, &to, &words.write(state));
        }
    }

    fn push_line(&mut self, room: RoomId, number: u64, to: &[crate::room::SubscriberId], body: &[u8]) {
        let (id, compress_from) = (format!("u{room}.{number}"), self.deps.tuning.compress_from);
        let mut message = Message::text(ROOMS, &id, &JSON, body, compress_from);
        for outlet in self.inboxes.outlets(to) {
            outlet.outlet.push(&mut message, None, &mut self.batch);
        }
        // Only now: behind its last line comes word that there are no more.
        self.inboxes.had(room, to);
    }

    /// A room is in somebody's list no more.
    fn leave_inbox(&mut self, room: RoomId, user: UserId, reason: CloseReason) {
        let Some(inbox) = self.inboxes.rooms.get_mut(&room) else { return };
        let (to, number) = (inbox.remove(user, Instant::now()), inbox.next_line());
        self.push_line(room, number, &to, &GoneLine::new(room, reason).to_json());
        self.inboxes.strike(room, &to);
        self.with_inbox(room, |_, _| ());
    }

    /// A room is in nobody's list any more.
    pub(super) fn close_inbox(&mut self, room: RoomId, reason: CloseReason) {
        let users = self.inboxes.rooms.get(&room).map(Inbox::users).unwrap_or_default();
        for user in users {
            self.leave_inbox(room, user, reason);
        }
    }

    /// Asks what inboxes want to know, for as many rooms in one go as there are.
    pub(super) fn ask_for_inboxes(&mut self) {
        loop {
            let rooms = self.inboxes.next_positions();
            if rooms.is_empty() {
                break;
            }
            self.ask_positions(&rooms);
        }
        loop {
            let rooms = self.inboxes.next_rows();
            if rooms.is_empty() {
                break;
            }
            self.ask_rows(&rooms);
        }
    }

    fn ask_positions(&mut self, rooms: &[RoomId]) {
        let (mut questions, mut needed) = (Vec::new(), std::collections::HashMap::new());
        for room in rooms {
            match self.inboxes.rooms.get_mut(room).filter(|inbox| inbox.wants_positions()) {
                Some(inbox) => {
                    let (users, follow) = inbox.ask();
                    needed.insert(*room, inbox.needed());
                    questions.push(Question { room: *room, users, follow, needed: inbox.needed() });
                }
                None => self.inboxes.positions_answered(),
            }
        }
        let (reading, answers) = (self.deps.reading.clone(), self.deps.answers.clone());
        tokio::spawn(async move {
            let failed = Mutex::new(Vec::new());
            let tell = |room: RoomId, positions: Option<_>| {
                if positions.is_none() {
                    failed.lock().push(room);
                    return;
                }
                let needed: Weak<()> = needed[&room].clone();
                let _ = answers.send(Input::Inbox(InboxInput::Positions(room, needed, positions)));
            };
            reading.positions(questions, &tell).await;
            let failed = failed.into_inner();
            if failed.is_empty() {
                return;
            }
            tokio::time::sleep(RETRY).await;
            for room in failed {
                let needed = needed[&room].clone();
                let _ = answers.send(Input::Inbox(InboxInput::Positions(room, needed, None)));
            }
        });
    }

    fn ask_rows(&mut self, rooms: &[RoomId]) {
        let (tail, inboxes) = (&self.tail, &mut self.inboxes.rooms);
        let ask = |room: &RoomId| {
            let inbox = inboxes.get_mut(room).filter(|inbox| inbox.wants_rows())?;
            let recent = inbox.ask_rows(*room, tail.changes_from(*room, shared::Seq::ZERO))?;
            Some((inbox.needed(), recent))
        };
        let asked: Vec<(Weak<()>, Recent)> = rooms.iter().filter_map(ask).collect();
        let (reader, answers) = (self.deps.reader.clone(), self.deps.answers.clone());
        tokio::spawn(async move {
            let wanted: Vec<_> = asked.iter().map(|(_, recent)| *recent).collect();
            let mut found = reader.latest(wanted).await.unwrap_or_default();
            // Where the database is behind what memory has let go of, it is asked again.
            found.retain(|latest| {
                asked.iter().any(|(_, recent)| recent.room == latest.room && latest.stored > recent.up_to)
            });
            let answer = |(needed, recent): (Weak<()>, Recent)| {
                let at = found.iter().position(|latest| latest.room == recent.room);
                (recent.room, needed, at.map(|at| found.swap_remove(at)))
            };
            let rooms: Vec<_> = asked.into_iter().map(answer).collect();
            if rooms.iter().any(|(.., latest)| latest.is_none()) {
                tokio::time::sleep(RETRY).await;
            }
            let _ = answers.send(Input::Inbox(InboxInput::Rows(rooms)));
        });
    }
}
