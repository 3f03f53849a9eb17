//! Who may be in a room: decided in PostgreSQL, cached here, kept by events.

use std::collections::HashMap;

use dashmap::DashMap;
use shared::{MeetupId, RoomId, UserId};
use sqlx::PgPool;

/// A `memberships` row: its version orders what is known of it.
#[derive(Clone, Copy, Debug)]
struct Membership {
    user_id: UserId,
    member: bool,
    version: i64,
}

/// A meetup, and one who is or was a member of it.
#[derive(sqlx::FromRow)]
struct Row {
    deleted: bool,
    user_id: Option<UserId>,
    member: Option<bool>,
    version: Option<i64>,
}

impl Row {
    fn membership(self) -> Option<Membership> {
        Some(Membership { user_id: self.user_id?, member: self.member?, version: self.version? })
    }
}

/// The members of one room, and those who were.
#[derive(Default)]
struct Members {
    /// Whether all of them are here. Before that, events are already noted: the rows on their way may be older.
    loaded: bool,
    /// The meetup is gone, for good. Noted for the rows that are on their way.
    closed: bool,
    /// Questions to PostgreSQL on their way.
    asked: u32,
    rows: HashMap<UserId, Membership>,
}

/// The members of the rooms that somebody has asked for.
pub struct Memberships {
    pool: PgPool,
    rooms: DashMap<RoomId, Members>,
}

impl Memberships {
    /// Knows nobody yet.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, rooms: DashMap::new() }
    }

    /// Whether `user` is known to be a member, without asking.
    pub fn is_known(&self, room: RoomId, user: UserId) -> bool {
        self.rooms.get(&room).is_some_and(|members| members.has(user))
    }

    /// Does something that only a member may, if `user` is known to be one. An event that ends the membership is
    /// learned before or after it, not in between. It must not wait, nor ask for a membership.
    pub fn while_member<R>(&self, room: RoomId, user: UserId, act: impl FnOnce() -> R) -> Option<R> {
        // The lock of the room's entry is held.
        let members = self.rooms.get(&room)?;
        members.has(user).then(act)
    }

    /// Does something to whoever is not known to be a member. An event that begins the membership is learned before or
    /// after it, not in between, and so is PostgreSQL's answer. It must not wait, nor ask for a membership.
    pub fn unless_member(&self, room: RoomId, user: UserId, act: impl FnOnce()) {
        // The lock of the room's entry is held.
        let members = self.rooms.get(&room);
        if !members.as_ref().is_some_and(|members| members.has(user)) {
            act();
        }
    }

    /// Whether somebody has asked for the room.
    pub fn is_cached(&self, room: RoomId) -> bool {
        self.rooms.contains_key(&room)
    }

    /// Whether `user` is a member. Nobody is refused on what is only cached: they may have joined a moment ago.
    pub async fn check(&self, room: RoomId, user: UserId) -> sqlx::Result<bool> {
        if self.is_known(room, user) {
            return Ok(true);
        }
        let question = Question::ask(self, room);
        let rows: Vec<Row> = sqlx::query_as(
            "select deleted_at is not null as deleted, user_id, state = 'member' as member, version \
             from meetups left join memberships on meetup_id = id and (user_id = $2 or not $3) where id = $1",
        )
        .bind(MeetupId::from(room))
        .bind(user)
        .bind(question.loaded)
        .fetch_all(&self.pool)
        .await?;
        let deleted = rows.first().is_some_and(|row| row.deleted);
        question.answer(deleted, rows.into_iter().filter_map(Row::membership));
        Ok(self.is_known(room, user))
    }

    /// Whether `user` may take back what others said: the owner and the hosts may.
    pub async fn may_moderate(&self, room: RoomId, user: UserId) -> sqlx::Result<bool> {
        let role: Option<String> = sqlx::query_scalar(
            "select role from memberships where meetup_id = $1 and user_id = $2 and state = 'member'",
        )
        .bind(MeetupId::from(room))
        .bind(user)
        .fetch_optional(&self.pool)
        .await?;
        Ok(role.is_some_and(|role| matches!(&*role, "owner" | "host")))
    }

    /// An event says that `user` became a member, or ceased to be one. Rooms that nobody has asked for are not
    /// cached for it.
    pub fn apply(&self, room: RoomId, user: UserId, member: bool, version: i64) {
        if let Some(mut members) = self.rooms.get_mut(&room) {
            members.learn([Membership { user_id: user, member, version }]);
        }
    }

    /// An event says that a meetup is gone. Whoever asks later is answered by PostgreSQL.
    pub fn close(&self, room: RoomId) {
        self.rooms.remove_if_mut(&room, |_, members| {
            members.close();
            members.is_needless()
        });
    }

    /// Rooms that are cached.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.rooms.len()
    }
}

impl Members {
    fn has(&self, user: UserId) -> bool {
        // An event alone does not tell that the meetup is still there.
        self.loaded && self.rows.get(&user).is_some_and(|row| row.member)
    }

    fn learn(&mut self, rows: impl IntoIterator<Item = Membership>) {
        if self.closed {
            return;
        }
        for row in rows {
            let known = self.rows.entry(row.user_id).or_insert(row);
            if known.version < row.version {
                *known = row;
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.rows = HashMap::new();
    }

    /// A room that does not exist, or no longer, must not cost memory.
    fn is_needless(&self) -> bool {
        self.asked == 0 && (self.rows.is_empty() || !self.loaded)
    }
}

/// A question to PostgreSQL. While it is on its way its room is cached, and takes note of events.
struct Question<'a> {
    memberships: &'a Memberships,
    room: RoomId,
    /// Whether only one row is asked for.
    loaded: bool,
}

impl<'a> Question<'a> {
    fn ask(memberships: &'a Memberships, room: RoomId) -> Self {
        let mut members = memberships.rooms.entry(room).or_default();
        members.asked += 1;
        Self { memberships, room, loaded: members.loaded }
    }

    fn answer(self, deleted: bool, rows: impl IntoIterator<Item = Membership>) {
        if let Some(mut members) = self.memberships.rooms.get_mut(&self.room) {
            members.loaded = true;
            if deleted {
                members.close();
            }
            members.learn(rows);
        }
    }
}

impl Drop for Question<'_> {
    /// Answered, or nobody waits for the answer any more.
    fn drop(&mut self) {
        self.memberships.rooms.remove_if_mut(&self.room, |_, members| {
            members.asked -= 1;
            members.is_needless()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: bool = true;

    fn room() -> RoomId {
        7.try_into().unwrap()
    }

    fn user(id: i64) -> UserId {
        id.try_into().unwrap()
    }

    fn row(id: i64, member: bool, version: i64) -> Membership {
        Membership { user_id: user(id), member, version }
    }

    fn memberships() -> Memberships {
        // Nobody connects to it: the tests give the answers.
        Memberships::new(PgPool::connect_lazy("postgres://nowhere/x").unwrap())
    }

    fn loaded(rows: Vec<Membership>) -> Memberships {
        let memberships = memberships();
        Question::ask(&memberships, room()).answer(false, rows);
        memberships
    }

    #[tokio::test]
    async fn the_newest_version_stands_in_whatever_order_they_come() {
        let versions = [(MEMBER, 1), (!MEMBER, 2), (MEMBER, 3), (!MEMBER, 4)];
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 3, 1], [1, 3, 0, 2], [2, 3, 3, 2]];
        for (n, order) in orders.iter().enumerate() {
            // As far as the load goes, and then by events.
            let (member, version) = versions[n % 4];
            let memberships = loaded(vec![row(1, member, version), row(2, MEMBER, 1)]);
            for (member, version) in order.map(|at| versions[at]) {
                memberships.apply(room(), user(1), member, version);
            }
            assert!(!memberships.is_known(room(), user(1)), "{order:?}");
            assert!(memberships.is_known(room(), user(2)));
        }
    }

    #[tokio::test]
    async fn an_event_is_not_undone_by_rows_that_were_on_their_way() {
        let memberships = memberships();
        let question = Question::ask(&memberships, room());
        memberships.apply(room(), user(1), !MEMBER, 2);
        question.answer(false, vec![row(1, MEMBER, 1), row(2, MEMBER, 1)]);
        assert!(!memberships.is_known(room(), user(1)));
        assert!(memberships.is_known(room(), user(2)));
    }

    #[tokio::test]
    async fn an_event_waits_for_what_only_a_member_may_do() {
        let memberships = loaded(vec![row(1, MEMBER, 1), row(2, !MEMBER, 2)]);
        let learns = || !memberships.rooms.try_get_mut(&room()).is_locked();
        assert!(learns());
        assert_eq!(memberships.while_member(room(), user(1), learns), Some(false));
        assert_eq!(memberships.while_member(room(), user(2), || ()), None);
        assert_eq!(memberships.while_member(8.try_into().unwrap(), user(1), || ()), None);
    }

    #[tokio::test]
    async fn what_is_done_to_a_stranger_is_not_done_to_a_member() {
        let memberships = loaded(vec![row(1, MEMBER, 1), row(2, !MEMBER, 2)]);
        let is_done = |room, id| {
            let mut learns = None;
            let try_to_learn = || learns = Some(!memberships.rooms.try_get_mut(&room).is_locked());
            memberships.unless_member(room, user(id), try_to_learn);
            learns
        };
        assert_eq!(is_done(room(), 1), None);
        assert_eq!(is_done(room(), 2), Some(false), "done while nobody can become a member");
        assert_eq!(is_done(8.try_into().unwrap(), 1), Some(true), "a room that nobody has asked for");
    }

    #[tokio::test]
    async fn a_closed_room_stays_closed_whatever_was_on_its_way() {
        let memberships = loaded(vec![row(1, MEMBER, 1)]);
        let (early, late) = (Question::ask(&memberships, room()), Question::ask(&memberships, room()));
        memberships.close(room());
        assert!(!memberships.is_known(room(), user(1)));
        memberships.apply(room(), user(1), MEMBER, 5);
        for question in [early, late] {
            question.answer(false, vec![row(1, MEMBER, 1)]);
            assert!(!memberships.is_known(room(), user(1)));
        }
        assert_eq!(memberships.len(), 0, "nothing is kept of it");
    }

    #[tokio::test]
    async fn a_member_by_an_event_is_none_of_a_deleted_meetup() {
        let memberships = memberships();
        let question = Question::ask(&memberships, room());
        memberships.apply(room(), user(1), MEMBER, 5);
        assert!(!memberships.is_known(room(), user(1)), "PostgreSQL has not answered");
        question.answer(true, [row(1, MEMBER, 1)]);
        assert!(!memberships.is_known(room(), user(1)));
        // Nor does it stay when nobody waits for the answer.
        let question = Question::ask(&memberships, room());
        memberships.apply(room(), user(1), MEMBER, 5);
        drop(question);
        assert_eq!(memberships.len(), 0);
    }

    #[tokio::test]
    async fn what_nobody_asked_for_costs_nothing() {
        let memberships = memberships();
        memberships.apply(room(), user(1), MEMBER, 1);
        memberships.close(room());
        assert_eq!(memberships.len(), 0);
        // No such room, and nobody who waits for the answer.
        Question::ask(&memberships, room()).answer(false, []);
        drop(Question::ask(&memberships, room()));
        assert_eq!(memberships.len(), 0);
    }
}
