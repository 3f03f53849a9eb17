//! The log, and the consumer that makes rows of it.

use std::{collections::VecDeque, sync::Arc};

use chat_engine::{
    reading::Effect,
    record::{Draft, Record, RecordKind},
};
use shared::{Seq, UserId};

use super::{News, World, room_id, store::Refusal};
use crate::{naive::Keeper, user};

/// A place in the log.
pub(super) struct Logged {
    pub(super) room: usize,
    pub(super) record: Arc<Record>,
    /// It repeats an earlier one: nobody is to see it.
    pub(super) is_void: bool,
}

#[derive(Default)]
pub(super) struct History {
    pub(super) log: Vec<Logged>,
    /// Who joined (or left) which room, and is not in the log yet.
    pub(super) events: VecDeque<(usize, UserId, bool)>,
    /// How much of the log PostgreSQL has.
    pub(super) stored: usize,
    /// How much of it Redis was told of.
    pub(super) told: usize,
    /// The number of the Redis that the consumer knows of.
    known: u64,
}

impl World {
    /// Appends a record to the log.
    pub(super) fn append(&mut self, r: usize, draft: Draft, is_void: bool) {
        let last = self.history.log.last().map_or(0, |logged| logged.record.seq.get());
        // Not dense, as in a partition that other rooms share.
        let seq = Seq::from_raw(last + 1 + self.dice.below(2) as i64).unwrap();
        self.trace(|| format!("log {seq}: room {r}, {:?} by {}, void {is_void}", draft.kind, draft.user));
        match draft.kind {
            _ if is_void => {}
            RecordKind::Message => self.naive[r].send(seq, draft.user),
            RecordKind::Joined => self.naive[r].join(draft.user, seq),
            RecordKind::Left => self.naive[r].leave(draft.user),
            RecordKind::Edited | RecordKind::Deleted => {}
        }
        let record = Arc::new(Record { seq, draft });
        self.history.log.push(Logged { room: r, record, is_void });
    }

    pub(super) fn send(&mut self) {
        let r = self.dice.below(super::ROOMS);
        let Some(sender) = self.somebody(r) else { return };
        let is_void = self.dice.below(30) == 0;
        self.append(r, Draft::message(room_id(r), sender, None, None, "x"), is_void);
    }

    /// An edit or a deletion: everybody gets it, and no count changes.
    pub(super) fn change_message(&mut self) {
        let messages =
            self.history.log.iter().filter(|logged| logged.record.draft.kind == RecordKind::Message);
        let messages: Vec<_> = messages.filter(|logged| !logged.is_void).collect();
        if messages.is_empty() {
            return;
        }
        let logged = messages[self.dice.below(messages.len())];
        let (r, target, author) = (logged.room, logged.record.seq, logged.record.draft.user);
        let draft = if self.dice.below(2) == 0 {
            Draft::deleted(room_id(r), author, target, None)
        } else {
            Draft::edited(room_id(r), author, target, None, "y")
        };
        self.append(r, draft, false);
    }

    /// The next joining or leaving comes into the log.
    pub(super) fn relay(&mut self) {
        let Some((r, who, joined)) = self.history.events.pop_front() else { return };
        let draft = if joined { Draft::joined(room_id(r), who, 1) } else { Draft::left(room_id(r), who, 1) };
        self.append(r, draft, false);
    }

    /// The next record becomes a row.
    pub(super) fn store_next(&mut self) {
        let Some(logged) = self.history.log.get(self.history.stored) else { return };
        let (r, is_void, record) = (logged.room, logged.is_void, logged.record.clone());
        let (seq, who) = (record.seq, record.draft.user);
        self.history.stored += 1;
        self.store.stored = seq;
        let rows = &mut self.store.rows[r];
        match record.draft.kind {
            _ if is_void => {}
            RecordKind::Message => {
                rows.entry(who).and_modify(|at| *at = seq.max(*at));
            }
            RecordKind::Joined => {
                rows.entry(who).and_modify(|at| *at = seq.max(*at)).or_insert(seq);
            }
            RecordKind::Left => {
                rows.remove(&who);
                self.naive[r].forget(who, Keeper::Postgres);
            }
            RecordKind::Edited | RecordKind::Deleted => {}
        }
        self.trace(|| format!("stored {seq}"));
    }

    /// Redis is told of the next row.
    pub(super) fn tell_next(&mut self) {
        if self.history.told == self.history.stored {
            return;
        }
        let logged = &self.history.log[self.history.told];
        let (r, record, is_void) = (logged.room, logged.record.clone(), logged.is_void);
        if let Some(effect) = Effect::of(record.draft.kind).filter(|_| !is_void) {
            match self.store.tell(r, self.history.known, record.seq, record.draft.user, effect) {
                Ok(change) => {
                    if effect == Effect::Left {
                        // Whoever comes again begins at another place.
                        self.before.remove(&(r, record.draft.user));
                    }
                    self.publish(r, change.map(News::Changed));
                }
                // It is loaded with all of it.
                Err(Refusal::Cold) => {}
                Err(_) => {
                    self.history.known = self.store.generation;
                    return;
                }
            }
        }
        self.trace(|| format!("told {}", record.seq));
        self.history.told += 1;
        // What was told before may be told again, after a crash of the consumer.
        if self.dice.below(20) == 0 {
            self.history.told -= self.dice.below(3).min(self.history.told);
        }
    }

    /// Somebody who may send to the room, reading it or not.
    pub(super) fn somebody(&mut self, r: usize) -> Option<UserId> {
        let candidate = user(1 + self.dice.below(usize::try_from(super::CANDIDATES[r]).unwrap()) as i64);
        self.members[r].contains(&candidate).then_some(candidate)
    }
}
