//! Who may be in a room: decided in PostgreSQL, cached here, kept by events.

use std::collections::HashMap;

use dashmap::DashMap;
use shared::{MeetupId, RoomId, UserId};
use sqlx::PgPool;

/// A `memberships` row: its version orders what is known of it.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
struct Membership {
    user_id: UserId,
    member: bool,
    version: i64,
}

/// The members of one room, and those who were.
#[derive(Default)]
struct Members {
    /// Whether all of them are here. Before that, events are already noted: the rows on their way may be older.
    loaded: bool,
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
        self.rooms.get(&room).is_some_and(|members| members.rows.get(&user).is_some_and(|row| row.member))
    }

    /// Whether `user` is a member. Nobody is refused on what is only cached: they may have joined a moment ago.
    pub async fn check(&self, room: RoomId, user: UserId) -> sqlx::Result<bool> {
        if self.is_known(room, user) {
            return Ok(true);
        }
        let loaded = self.rooms.entry(room).or_default().loaded;
        let rows: Vec<Membership> = sqlx::query_as(
            "select user_id, state = 'member' as member, version from memberships \
             join meetups on meetups.id = meetup_id and deleted_at is null \
             where meetup_id = $1 and (user_id = $2 or not $3)",
        )
        .bind(MeetupId::from(room))
        .bind(user)
        .bind(loaded)
        .fetch_all(&self.pool)
        .await?;
        let mut members = self.rooms.entry(room).or_default();
        members.loaded = true;
        members.learn(rows);
        drop(members);
        // A room that does not exist must not cost memory.
        self.rooms.remove_if(&room, |_, members| members.rows.is_empty());
        Ok(self.is_known(room, user))
    }

    /// An event says that `user` became a member, or ceased to be one. Rooms that nobody has asked for are not
    /// cached for it.
    pub fn apply(&self, room: RoomId, user: UserId, member: bool, version: i64) {
        if let Some(mut members) = self.rooms.get_mut(&room) {
            members.learn([Membership { user_id: user, member, version }]);
        }
    }
}

impl Members {
    fn learn(&mut self, rows: impl IntoIterator<Item = Membership>) {
        for row in rows {
            let known = self.rows.entry(row.user_id).or_insert(row);
            if known.version < row.version {
                *known = row;
            }
        }
    }
}
