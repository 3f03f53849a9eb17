//! Rooms with members.

use shared::UserId;
use sqlx::PgPool;

/// A room whose members these are and have been from its start.
pub(crate) async fn open(pool: &PgPool, members: &[UserId]) -> i64 {
    let room: i64 = sqlx::query_scalar(
        "insert into meetups (kind, owner_id, title, category, capacity, member_count) \
         values ('club', $1, 'a room', 'hobby', 1000, $2) returning id",
    )
    .bind(members[0])
    .bind(i32::try_from(members.len()).expect("a few members"))
    .fetch_one(pool)
    .await
    .expect("a meetup");
    sqlx::query("insert into chat_rooms (id) values ($1)").bind(room).execute(pool).await.expect("a room");
    let members: Vec<_> = members.iter().map(|member| member.get()).collect();
    for statement in [
        "insert into memberships (meetup_id, user_id, state) select $1, unnest($2::bigint[]), 'member'",
        "insert into read_positions (room_id, user_id, seq) select $1, unnest($2::bigint[]), 0",
    ] {
        sqlx::query(statement).bind(room).bind(&members).execute(pool).await.expect("members");
    }
    room
}
