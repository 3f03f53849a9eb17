//! Whose rooms are listed on this node, `/user/queue/rooms`: which they are, decided in PostgreSQL when somebody subscribes,
//! and kept by events from then on. What is in the lists is the shards'.
//!
//! Events come in the order of each meetup, rows at any time between two of them: the version of a membership says which
//! of the two is newer. A person's entry is locked while the shards are told, so they hear of everything in one order.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::Arc,
};

use dashmap::DashMap;
use shared::{RoomId, UserId};
use sqlx::PgPool;
use stomp::ByteString;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    connection::{CloseReason, Owed},
    room::SubscriberId,
    shard::{FirstRound, InboxInput, InboxOutlet, Input, Shards},
};

/// Lists that are read at once: half of a node's connections to the database are for everybody else.
const AT_ONCE: usize = 4;

/// One's rooms cannot be looked up at the moment.
#[derive(Debug, thiserror::Error)]
#[error("your rooms cannot be looked up at the moment: try again")]
pub(crate) struct Unlisted(#[from] sqlx::Error);

/// The lists of this node.
pub(crate) struct Inboxes {
    pool: PgPool,
    shards: Shards,
    turns: Semaphore,
    people: DashMap<UserId, Person>,
}

/// Somebody who has a list here, or is about to.
#[derive(Default)]
struct Person {
    memberships: HashMap<RoomId, Membership>,
    /// Meetups that were deleted while rows were on their way. For good: rows may be older.
    closed: HashSet<RoomId>,
    outlets: Vec<Arc<InboxOutlet>>,
    /// Lists on their way.
    asked: u32,
}

#[derive(Clone, Copy, Debug)]
struct Membership {
    member: bool,
    version: i64,
}

impl Person {
    /// Whether it is news. An older event, or row, changes nothing.
    fn learn(&mut self, room: RoomId, member: bool, version: i64) -> bool {
        let before = self.memberships.get(&room).copied();
        if self.closed.contains(&room) || before.is_some_and(|before| before.version >= version) {
            return false;
        }
        self.memberships.insert(room, Membership { member, version });
        before.is_some_and(|before| before.member) != member
    }

    fn rooms(&self) -> Vec<RoomId> {
        let members = self.memberships.iter().filter(|(_, membership)| membership.member);
        members.map(|(room, _)| *room).collect()
    }

    fn is_needless(&self) -> bool {
        self.asked == 0 && self.outlets.is_empty()
    }
}

/// A list on its way: meanwhile events are noted.
struct Asked<'a> {
    inboxes: &'a Inboxes,
    user: UserId,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.inboxes.people.remove_if_mut(&self.user, |_, person| {
            person.asked -= 1;
            person.is_needless()
        });
    }
}

impl Inboxes {
    pub(crate) fn new(pool: PgPool, shards: Shards) -> Self {
        Self { pool, shards, turns: Semaphore::new(AT_ONCE), people: DashMap::new() }
    }

    /// Begins a list. The first line about each room comes, then the RECEIPT, and from then on what happens. Done when the
    /// shards have taken what there is to do: a client that begins lists and ends them gets no further than they do.
    pub(crate) async fn begin(
        &self,
        outlet: Arc<InboxOutlet>,
        receipt: Option<ByteString>,
        owed: Owed,
    ) -> Result<(), Unlisted> {
        let asked = self.ask(outlet.user);
        let rows = self.rows(outlet.user).await?;
        let mut taken = asked.begin(rows, outlet, receipt, owed);
        // Dropped, not sent: that there is nothing more to come is the signal.
        taken.recv().await;
        Ok(())
    }

    fn ask(&self, user: UserId) -> Asked<'_> {
        self.people.entry(user).or_default().asked += 1;
        Asked { inboxes: self, user }
    }

    async fn rows(&self, user: UserId) -> sqlx::Result<Vec<(RoomId, i64)>> {
        // It is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        sqlx::query_as(
            "select meetup_id, version from memberships join meetups on meetups.id = meetup_id \
             where user_id = $1 and state = 'member' and deleted_at is null",
        )
        .bind(user)
        .fetch_all(&self.pool)
        .await
    }

    /// Somebody became a member.
    pub(crate) fn joined(&self, room: RoomId, user: UserId, version: i64) {
        let Some(mut person) = self.people.get_mut(&user) else { return };
        if person.learn(room, true, version) && !person.outlets.is_empty() {
            let outlets = person.outlets.clone();
            self.shards.send(room, Input::Inbox(InboxInput::Joined { room, outlets }));
        }
    }

    /// Somebody is no longer a member.
    pub(crate) fn left(&self, room: RoomId, user: UserId, version: i64, reason: CloseReason) {
        let Some(mut person) = self.people.get_mut(&user) else { return };
        if person.learn(room, false, version) {
            self.shards.send(room, Input::Inbox(InboxInput::Left { room, user, reason }));
        }
    }

    /// A meetup is gone. To be told before its room's shard, which tells everybody who has it in their list.
    pub(crate) fn closed(&self, room: RoomId) {
        for mut person in self.people.iter_mut() {
            if person.asked > 0 || person.memberships.contains_key(&room) {
                person.memberships.remove(&room);
                person.closed.insert(room);
            }
        }
    }

    /// A list is over.
    pub(crate) fn end(&self, user: UserId, id: SubscriberId) {
        self.people.remove_if_mut(&user, |_, person| {
            let those = person.outlets.extract_if(.., |outlet| outlet.id == id);
            those.for_each(|outlet| outlet.end());
            self.shards.end_inbox(id);
            person.is_needless()
        });
    }
}

impl Asked<'_> {
    /// Has the shards begin the list with these rows, before anything else is learned. What is returned ends when all of
    /// them have taken that.
    fn begin(
        self,
        rows: Vec<(RoomId, i64)>,
        outlet: Arc<InboxOutlet>,
        receipt: Option<ByteString>,
        owed: Owed,
    ) -> mpsc::Receiver<Infallible> {
        let (taken, wait) = mpsc::channel(1);
        let Some(mut person) = self.inboxes.people.get_mut(&self.user) else { return wait };
        let shards = &self.inboxes.shards;
        for (room, version) in rows {
            if person.learn(room, true, version) && !person.outlets.is_empty() {
                // Another list of theirs will hear of it by an event: that is then no news.
                let outlets = person.outlets.clone();
                shards.send(room, Input::Inbox(InboxInput::Joined { room, outlets }));
            }
        }
        let rooms = person.rooms();
        let round = FirstRound { outlet: outlet.clone(), rooms: rooms.len(), receipt, owed };
        shards.begin_inbox(&outlet, &rooms, &Arc::new(round), &taken);
        person.outlets.push(outlet);
        drop(person);
        wait
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::error::TryRecvError;

    use super::*;
    use crate::connection::{Outlet, out_of_the_way};

    fn room(id: i64) -> RoomId {
        id.try_into().unwrap()
    }

    fn user() -> UserId {
        1.try_into().unwrap()
    }

    fn person() -> Person {
        Person::default()
    }

    #[test]
    fn the_newest_version_stands_in_whatever_order_they_come() {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 3]] {
            let mut person = person();
            for version in order {
                person.learn(room(7), version != 2, version);
            }
            assert_eq!(person.rooms(), [room(7)], "{order:?}");
        }
        let mut person = person();
        assert!(person.learn(room(7), true, 1));
        assert!(!person.learn(room(7), true, 3), "they are a member already");
        assert!(!person.learn(room(7), false, 2), "they have come back since");
        assert!(person.learn(room(7), false, 4));
        assert!(person.rooms().is_empty());
    }

    #[tokio::test]
    async fn what_happens_while_rows_are_on_their_way_is_newer_than_they_are() {
        // Nobody connects to it: the test gives the answers.
        let pool = PgPool::connect_lazy("postgres://nowhere/x").unwrap();
        let shards = Shards::new(1, Arc::default()).0;
        let inboxes = Inboxes::new(pool, shards);
        let asked = inboxes.ask(user());
        inboxes.left(room(1), user(), 2, CloseReason::NotAMember);
        inboxes.joined(room(2), user(), 1);
        inboxes.closed(room(3));
        let mut person = inboxes.people.get_mut(&user()).unwrap();
        for (id, version) in [(1, 1), (3, 1), (4, 1)] {
            person.learn(room(id), true, version);
        }
        let mut rooms = person.rooms();
        rooms.sort_unstable();
        assert_eq!(rooms, [room(2), room(4)]);
        drop(person);
        drop(asked);
        assert!(inboxes.people.is_empty(), "nobody waits for it");
        inboxes.joined(room(5), user(), 1);
        assert!(inboxes.people.is_empty());
    }

    #[tokio::test]
    async fn a_list_has_begun_when_every_shard_has_taken_it() {
        // Nobody connects to it: the test gives the rows, and takes what the shards are told.
        let pool = PgPool::connect_lazy("postgres://nowhere/x").unwrap();
        let (shards, mut receivers) = Shards::new(3, Arc::default());
        let inboxes = Inboxes::new(pool, shards);
        let (outbox, _client, _reader) = out_of_the_way(1_000).await;
        let owed = outbox.owe();
        let outlet = Outlet { outbox, subscription: None, unacknowledged: None };
        let id = SubscriberId(1);
        let outlet = Arc::new(InboxOutlet::new(id, user(), outlet));
        // Of one room: two shards have nothing to do, and are told that it is over all the same.
        let mut taken = inboxes.ask(user()).begin(vec![(room(7), 1)], outlet, None, owed);
        for shard in 0..3 {
            assert!(
                matches!(taken.try_recv(), Err(TryRecvError::Empty)),
                "{shard} may have any number of these"
            );
            drop(receivers.next(shard));
        }
        assert!(matches!(taken.try_recv(), Err(TryRecvError::Disconnected)));
        inboxes.end(user(), id);
        assert!(inboxes.people.is_empty());
    }
}
