//! People and meetups made in bulk: for load tests (`moyiza seed`) and for a first look (the demo).

use shared::{RoomId, UserId};
use sqlx::PgPool;

/// What [`people_and_rooms`] made.
#[derive(Debug)]
pub struct Seeded {
    /// An access token for each person, in their order.
    pub tokens: Vec<String>,
    /// The meetups' rooms; person `i` is a member of room `i mod rooms.len()` and of no other.
    pub rooms: Vec<RoomId>,
}

/// Makes `users` new people and `rooms` new meetups.
pub async fn people_and_rooms(pool: &PgPool, users: u32, rooms: u32) -> anyhow::Result<Seeded> {
    let _ = (pool, users, rooms);
    anyhow::bail!("not yet")
}

/// A person of the demo, who can log in.
#[derive(Debug)]
pub struct DemoPerson {
    /// Their nickname.
    pub nickname: String,
    /// Their address, which exists nowhere.
    pub email: String,
    /// Their password.
    pub password: String,
    /// Who they are.
    pub id: UserId,
}

/// What [`demo`] planted.
#[derive(Debug)]
pub struct Demo {
    /// All of them are members of the club, the first owns it.
    pub people: [DemoPerson; 3],
    /// The club's room.
    pub club: RoomId,
    /// The oneday's room.
    pub oneday: RoomId,
}

/// Plants the demo if the instance has no user yet.
pub async fn demo(pool: &PgPool) -> anyhow::Result<Option<Demo>> {
    let _ = pool;
    anyhow::bail!("not yet")
}
