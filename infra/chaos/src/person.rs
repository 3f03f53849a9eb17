//! Somebody who chats: follows one room, talks, comes and goes, and never gives up on what they said.

mod resume;
mod session;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep},
};

use crate::{
    cluster::Cluster,
    counts::{Counts, expected},
    view::{View, What},
    wire::{Connection, Ended},
    world::{Account, World},
};

/// How far a run has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Everybody comes, nobody talks.
    Arrive,
    /// As people are.
    Live,
    /// Everybody comes back and gets rid of what they still have to say.
    Settle,
    /// Everybody has answered; they see the record at each room's last place, and stay.
    CatchUp(Vec<i64>),
    /// Those whose turn it is go when they have seen that.
    Apart(usize, Vec<i64>),
    /// The others go when they have seen that, and show how many have not.
    Count(Vec<i64>),
}

/// Who goes together in the end, and does not read what is said then; the last of so many parts stays.
pub const TURNS: usize = 3;

/// What everybody shares.
pub struct Surroundings {
    /// Whom to connect to.
    pub cluster: Arc<Cluster>,
    /// Where memberships are.
    pub world: World,
    /// How far the run is.
    pub phase: watch::Receiver<Phase>,
    /// The mean time between two things that somebody does.
    pub pace: Duration,
    /// One permit more for everybody who has arrived, and for everybody who has settled.
    pub arrived: Semaphore,
    /// See [`Surroundings::arrived`].
    pub settled: Semaphore,
    /// The same for everybody who has seen the last word.
    pub caught_up: Semaphore,
    /// In each room, what those who went in the end had seen.
    pub gone: Vec<Mutex<Vec<i64>>>,
    /// One permit more for each of them.
    pub went: Semaphore,
    /// A room that nobody here is a member of.
    pub foreign_room: i64,
}

/// What somebody asks the engine to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A new message.
    Say(String),
    /// Another content for one of their own.
    Edit {
        /// Which.
        target: i64,
        /// What it is to say.
        content: String,
    },
    /// One of their own is to go.
    Delete {
        /// Which.
        target: i64,
    },
}

/// An [`Ask`] that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// As its sender named it.
    pub client_id: String,
    /// Where the engine says that it is.
    pub seq: i64,
    /// What it was.
    pub ask: Ask,
}

/// One that was not yet.
#[derive(Clone, Debug)]
struct Pending {
    client_id: String,
    ask: Ask,
    /// When it was sent on this connection.
    sent: Option<Instant>,
}

/// All that is known of one person in the end.
#[derive(Debug)]
pub struct Report {
    /// As in the journal.
    pub name: String,
    /// In [`Surroundings`]' order of rooms.
    pub room: usize,
    /// What they saw.
    pub view: View,
    /// How many had not read each message, as they showed it in the end.
    pub counts: BTreeMap<i64, Option<i64>>,
    /// The last that they had seen when they went before the others; none if they stayed.
    pub went_after: Option<i64>,
    /// What was acknowledged to them.
    pub acknowledged: Vec<Acknowledged>,
    /// What never was.
    pub unanswered: usize,
    /// How often they connected.
    pub connections: u64,
}

/// Somebody.
pub struct Person {
    name: String,
    account: Account,
    room: i64,
    room_index: usize,
    around: Arc<Surroundings>,
    /// With whom they go in the end.
    turn: usize,
    rng: Rng,
    view: View,
    counts: Counts,
    went_after: Option<i64>,
    pending: VecDeque<Pending>,
    acknowledged: Vec<Acknowledged>,
    /// Own messages that may still be changed.
    own: Vec<i64>,
    gone: BTreeSet<i64>,
    /// When they ceased to be a member, if they are none.
    left_at: Option<Instant>,
    /// How often they came back to the room.
    joins: usize,
    next_number: u64,
    /// Whether a SUBSCRIBE was ever answered, so that the next goes on from there.
    has_followed: bool,
    told: Told,
    connections: u64,
}

/// What somebody has let everybody know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Arrived,
    Settled,
    CaughtUp,
}

/// Why a session is over.
#[derive(Debug)]
enum Over {
    /// The connection ended.
    Ended(Ended),
    /// They went, and stay away for a while.
    Away(Duration),
    /// There is nothing left to be done.
    Done,
}

impl Person {
    /// Somebody who behaves as `seed` says, in a room with so many members.
    pub fn new(
        number: usize,
        account: Account,
        (room_index, room, members): (usize, i64, usize),
        seed: u64,
        around: Arc<Surroundings>,
    ) -> Self {
        Self {
            name: format!("client {number:03}"),
            account,
            room,
            room_index,
            turn: number / around.gone.len() % TURNS,
            around,
            rng: Rng::with_seed(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            view: View::default(),
            counts: Counts::new(members),
            went_after: None,
            pending: VecDeque::new(),
            acknowledged: Vec::new(),
            own: Vec::new(),
            gone: BTreeSet::new(),
            left_at: None,
            joins: 0,
            next_number: 0,
            has_followed: false,
            told: Told::Nothing,
            connections: 0,
        }
    }

    /// Chats until all is seen, or until `enough`.
    pub async fn live(mut self, enough: watch::Receiver<bool>) -> Report {
        let mut stop = enough;
        tokio::select! {
            () = self.come_and_go() => {}
            _ = stop.wait_for(|enough| *enough) => {
                self.note("never done", &format!("last saw {}", self.view.last()));
            }
        }
        Report {
            name: self.name,
            room: self.room_index,
            view: self.view,
            counts: self.counts.shown().clone(),
            went_after: self.went_after,
            acknowledged: self.acknowledged,
            unanswered: self.pending.len(),
            connections: self.connections,
        }
    }

    async fn come_and_go(&mut self) {
        loop {
            if !self.is_member() && !self.wants_to_stay_out() {
                self.join().await;
            }
            let over = match self.connect().await {
                Ok(connection) => {
                    self.connections += 1;
                    self.note("connected", &format!("to {}, after {}", connection.addr(), self.view.last()));
                    self.session(connection).await
                }
                Err(ended) => Over::Ended(ended),
            };
            for pending in &mut self.pending {
                pending.sent = None;
            }
            let pause = match over {
                Over::Done => {
                    self.tell_that_they_went();
                    return;
                }
                Over::Away(pause) => pause,
                Over::Ended(ended) => {
                    self.note("connection ended", &ended.to_string());
                    Duration::from_millis(self.rng.u64(50..1_500))
                }
            };
            self.rest(pause).await;
        }
    }

    /// Others show from now on that they have not read what comes.
    fn tell_that_they_went(&mut self) {
        if let Phase::Apart(..) = *self.around.phase.borrow() {
            let last = self.view.last();
            self.went_after = Some(last);
            self.around.gone[self.room_index].lock().push(last);
            self.around.went.add_permits(1);
        }
    }

    /// Whether every message shows how many have not read it. Everybody who is to go has gone.
    fn counts_are_right(&self) -> bool {
        let gone = self.around.gone[self.room_index].lock();
        let is_right = |(seq, unread): (&i64, &Option<i64>)| {
            unread.is_some_and(|unread| usize::try_from(unread) == Ok(expected(*seq, &gone)))
        };
        self.counts.shown().iter().all(is_right)
    }

    /// Stays away, but when everybody is waited for no longer than others do who lost their connection.
    async fn rest(&mut self, pause: Duration) {
        let short = pause.min(Duration::from_millis(self.rng.u64(50..1_500)));
        let mut phase = self.around.phase.clone();
        let waited_for = async {
            // The guard is dropped before the pause.
            drop(phase.wait_for(|phase| !matches!(phase, Phase::Arrive | Phase::Live)).await);
            sleep(short).await;
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = waited_for => {}
        }
    }

    /// One of the engines that are to run, by luck; some are dead all the same.
    async fn connect(&mut self) -> Result<Connection, Ended> {
        let up: Vec<_> = self.around.cluster.engines().iter().filter(|engine| engine.is_wanted()).collect();
        let Some(engine) = self.rng.choice(up) else { return Err(Ended::Broken("no engine".to_owned())) };
        Connection::open(engine.addr(), &self.account.token).await
    }

    fn wants_to_stay_out(&mut self) -> bool {
        self.is_living() && self.rng.u8(..) < 100
    }

    async fn join(&mut self) {
        self.around.world.set_member(self.room, self.account.id, true).await;
        self.left_at = None;
        self.joins += 1;
        self.note("joined", "");
    }

    async fn leave_room(&mut self) {
        self.around.world.set_member(self.room, self.account.id, false).await;
        self.left_at = Some(Instant::now());
        self.note("left the room", "");
    }

    /// Whether the room knows that they are back: what came before it says so does not count them.
    fn is_back(&self) -> bool {
        let joining = What::Membership { user: self.account.id, joined: true };
        self.is_member() && self.view.seen.iter().filter(|seen| seen.what == joining).count() >= self.joins
    }

    const fn is_member(&self) -> bool {
        self.left_at.is_none()
    }

    fn is_living(&self) -> bool {
        *self.around.phase.borrow() == Phase::Live
    }

    fn note(&self, kind: &str, detail: &str) {
        self.around.cluster.journal().happened(&self.name, kind, detail);
    }

    fn now(&self) -> u64 {
        self.around.cluster.journal().now()
    }

    /// Something that no rule allows.
    fn wrong(&mut self, what: String) {
        self.note("WRONG", &what);
        self.view.wrong.push(what);
    }

    /// Thinks of something to do to the log.
    fn think_of_something(&mut self) {
        self.next_number += 1;
        let client_id = format!("{}-{}", self.account.id, self.next_number);
        let content = format!("{} says {}", self.name, self.next_number);
        let luck = self.rng.u8(0..100);
        let own = if self.own.is_empty() { None } else { Some(self.rng.usize(0..self.own.len())) };
        let ask = match own {
            Some(index) if luck < 8 => {
                Ask::Edit { target: self.own[index], content: format!("{content}, or rather not") }
            }
            Some(index) if luck < 12 => Ask::Delete { target: self.own.swap_remove(index) },
            _ => Ask::Say(content),
        };
        self.pending.push_back(Pending { client_id, ask, sent: None });
    }
}
