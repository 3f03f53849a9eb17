//! Lists of rooms, `/user/queue/rooms`: what a shard keeps of them. Of each of its rooms that somebody on this node has
//! in their list there is an [`Inbox`], whether the room is open here or not.

mod inbox;
mod lines;
mod standings;
mod tally;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

pub(super) use inbox::{Inbox, Line};
pub(super) use lines::{GoneLine, Lines};
use shared::{RoomId, UserId};
use stomp::ByteString;
pub(super) use tally::KEPT;
use tokio::sync::mpsc;

use crate::{
    connection::{CloseReason, Outlet, Owed, frames, outlet::single},
    history::Latest,
    reading::MemberPositions,
    room::SubscriberId,
};

/// Where lists of rooms are.
pub const ROOMS: &str = "/user/queue/rooms";

/// Rooms whose positions are asked for in one go.
const POSITIONS_BATCH: usize = 256;
/// Rooms whose positions may be asked for at once: one that cannot be loaded must not hold up the others.
const POSITIONS_AT_ONCE: usize = 1_024;
/// Rooms of one statement.
const ROWS_BATCH: usize = 64;
/// Statements at a time.
const ROWS_AT_ONCE: usize = 2;

/// When all that have it have dropped it, nothing is sent: whoever waits for it is to go on.
pub type Taken = mpsc::Sender<Infallible>;

/// What a shard is told of lists of rooms.
#[derive(Debug)]
pub enum InboxInput {
    /// A subscription begins.
    Begin {
        /// Which.
        outlet: Arc<InboxOutlet>,
        /// The shard's rooms in it.
        rooms: Vec<RoomId>,
        /// To be dropped with the first line about the last of them; `None` where none of them is this shard's.
        round: Option<Arc<FirstRound>>,
        /// Dropped when the input is taken.
        taken: Taken,
    },
    /// Somebody became a member of a room.
    Joined {
        /// Which.
        room: RoomId,
        /// Their subscriptions.
        outlets: Vec<Arc<InboxOutlet>>,
    },
    /// Somebody is no longer a member of a room.
    Left {
        /// Which.
        room: RoomId,
        /// Who.
        user: UserId,
        /// Why.
        reason: CloseReason,
    },
    /// A subscription is over.
    End(SubscriberId),
    /// Where those stand who were asked about, if that could be asked. With what ends when nobody needs it.
    Positions(RoomId, Weak<()>, Option<MemberPositions>),
    /// The rows that were asked for, if they could be read.
    Rows(Vec<(RoomId, Weak<()>, Option<Latest>)>),
}

/// A subscription to one's rooms.
#[derive(Debug)]
pub struct InboxOutlet {
    /// Which.
    pub id: SubscriberId,
    /// Whose.
    pub user: UserId,
    /// The way to its client.
    pub outlet: Outlet,
    ended: AtomicBool,
}

impl InboxOutlet {
    /// A new one.
    pub fn new(id: SubscriberId, user: UserId, outlet: Outlet) -> Self {
        Self { id, user, outlet, ended: AtomicBool::new(false) }
    }

    /// Nothing more is to be sent to it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// The first line about each room that somebody is a member of. When the last has been queued, whoever did it, the client
/// is told that it has them all.
#[derive(Debug)]
pub struct FirstRound {
    /// Whose.
    pub outlet: Arc<InboxOutlet>,
    /// How many rooms there are.
    pub rooms: usize,
    /// Of the SUBSCRIBE.
    pub receipt: Option<ByteString>,
    /// Dropped with this.
    pub owed: Owed,
}

impl Drop for FirstRound {
    fn drop(&mut self) {
        let Outlet { outbox, .. } = &self.outlet.outlet;
        if !self.outlet.ended.load(Ordering::Relaxed) {
            let body = format!(r#"{{"type":"rooms","rooms":{}}}"#, self.rooms);
            let id = format!("u{}", self.outlet.id.0);
            let headers = [("content-type", "application/json")];
            outbox.push_for_task(single(&self.outlet.outlet, ROOMS, &id, &headers, body.as_bytes()));
        }
        if let Some(receipt) = &self.receipt {
            outbox.push_for_task(frames::receipt(outbox.version(), receipt, None));
        }
    }
}

/// A subscription as a shard knows it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) outlet: Arc<InboxOutlet>,
    /// The shard's rooms in its list.
    rooms: HashSet<RoomId>,
    /// Those that it has had no line about yet.
    awaited: HashSet<RoomId>,
    /// Dropped with the first line about the last of them.
    round: Option<Arc<FirstRound>>,
}

impl Listener {
    /// A line about the room is queued.
    fn had(&mut self, room: RoomId) {
        if self.awaited.remove(&room) && self.awaited.is_empty() {
            self.round = None;
        }
    }
}

/// A shard's part of all lists of rooms.
#[derive(Debug, Default)]
pub(super) struct Inboxes {
    pub(super) rooms: HashMap<RoomId, Inbox>,
    listeners: HashMap<SubscriberId, Listener>,
    positions: Queue,
    rows: Queue,
}

/// Rooms about which something is to be asked, each once, and how much is being asked.
#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<RoomId>,
    waiting: HashSet<RoomId>,
    under_way: usize,
}

impl Queue {
    fn add(&mut self, room: RoomId) {
        if self.waiting.insert(room) {
            self.order.push_back(room);
        }
    }

    fn take(&mut self, most: usize) -> Vec<RoomId> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(room) = self.order.pop_front()
        {
            self.waiting.remove(&room);
            taken.push(room);
        }
        taken
    }
}

impl Inboxes {
    /// A subscription begins, or has these rooms more.
    pub(super) fn listen(
        &mut self,
        outlet: &Arc<InboxOutlet>,
        rooms: &[RoomId],
        round: Option<Arc<FirstRound>>,
    ) {
        let listener = self.listeners.entry(outlet.id).or_insert_with(|| Listener {
            outlet: outlet.clone(),
            rooms: HashSet::new(),
            awaited: HashSet::new(),
            round: None,
        });
        listener.rooms.extend(rooms);
        if round.is_some() {
            listener.awaited = rooms.iter().copied().collect();
            listener.round = round;
        }
    }

    /// A subscription is over: whose it was, and the rooms that it had.
    pub(super) fn end(&mut self, id: SubscriberId) -> Option<(UserId, HashSet<RoomId>)> {
        let listener = self.listeners.remove(&id)?;
        Some((listener.outlet.user, listener.rooms))
    }

    /// The ways to these.
    pub(super) fn outlets(&self, to: &[SubscriberId]) -> impl Iterator<Item = &InboxOutlet> {
        to.iter().filter_map(|id| self.listeners.get(id)).map(|listener| &*listener.outlet)
    }

    /// A line about the room is queued for these.
    pub(super) fn had(&mut self, room: RoomId, to: &[SubscriberId]) {
        for id in to {
            if let Some(listener) = self.listeners.get_mut(id) {
                listener.had(room);
            }
        }
    }

    /// A room is none of theirs any more.
    pub(super) fn strike(&mut self, room: RoomId, to: &[SubscriberId]) {
        for id in to {
            if let Some(listener) = self.listeners.get_mut(id) {
                listener.rooms.remove(&room);
            }
        }
    }

    /// What the room's inbox wants to know is asked next.
    pub(super) fn want(&mut self, room: RoomId) {
        let Some(inbox) = self.rooms.get(&room) else { return };
        if inbox.wants_positions() {
            self.positions.add(room);
        }
        if inbox.wants_rows() {
            self.rows.add(room);
        }
    }

    /// Rooms whose positions are to be asked for now, in one go.
    pub(super) fn next_positions(&mut self) -> Vec<RoomId> {
        let free = POSITIONS_AT_ONCE.saturating_sub(self.positions.under_way);
        let rooms = self.positions.take(free.min(POSITIONS_BATCH));
        self.positions.under_way += rooms.len();
        rooms
    }

    /// Rooms whose rows are to be read now, in one statement.
    pub(super) fn next_rows(&mut self) -> Vec<RoomId> {
        if self.rows.under_way >= ROWS_AT_ONCE {
            return Vec::new();
        }
        let rooms = self.rows.take(ROWS_BATCH);
        self.rows.under_way += usize::from(!rooms.is_empty());
        rooms
    }

    pub(super) fn positions_answered(&mut self) {
        self.positions.under_way -= 1;
    }

    pub(super) fn rows_answered(&mut self) {
        self.rows.under_way -= 1;
    }
}
