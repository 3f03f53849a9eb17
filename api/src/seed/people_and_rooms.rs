//! Thousands of people who can connect at once.

use anyhow::{Context as _, ensure};
use shared::{
    RoomId, SessionId, UserId, signing,
    token::{Claims, LONGEST_TOKEN_LIFETIME, Role},
};
use sqlx::{PgConnection, PgPool};

/// What [`people_and_rooms`] made.
#[derive(Debug)]
pub struct Seeded {
    /// An access token for each person, in their order.
    pub tokens: Vec<String>,
    /// The meetups' rooms; with `K` for each person `i` is a member of the rooms from `i · K` on, modulo `rooms.len()`, and
    /// of no other.
    pub rooms: Vec<RoomId>,
}

/// Makes `users` new people and `rooms` new meetups, and everybody a member of `each` of them: person `i` of the rooms from
/// `i · each` on, modulo `rooms`. Tokens are good for [`LONGEST_TOKEN_LIFETIME`].
///
/// Everything becomes visible at once, memberships and reading positions with their rooms, so there is no
/// event to tell: no engine can have loaded a room that did not exist.
pub async fn people_and_rooms(pool: &PgPool, users: u32, rooms: u32, each: u32) -> anyhow::Result<Seeded> {
    ensure!(users > 0 && rooms > 0 && each > 0, "at least one person and one room");
    ensure!(each <= rooms, "nobody is a member of {each} of {rooms} rooms");
    // A column of PostgreSQL arrays counts in i32; so do meetups.
    let users = i32::try_from(users).context("too many people")?;
    let rooms = i32::try_from(rooms).context("too many rooms")?;
    let each = i32::try_from(each).context("too many rooms for each")?;
    // From every other call's people.
    let tag = format!("{:08x}", getrandom::u32().map_err(|error| anyhow::anyhow!("no randomness: {error}"))?);
    let signer = signing::signer(pool).await?;

    let mut transaction = pool.begin().await?;
    let people = insert_people(&mut transaction, &tag, users).await?;
    let meetups = insert_meetups(&mut transaction, &tag, &people, rooms, each).await?;
    insert_memberships(&mut transaction, &people, &meetups, each).await?;
    let sessions = insert_sessions(&mut transaction, &people).await?;
    transaction.commit().await?;

    let sign = |(user, session): (&UserId, &SessionId)| {
        signer.sign(&Claims::new(*user, *session, Role::User, LONGEST_TOKEN_LIFETIME))
    };
    let tokens = people.iter().zip(&sessions).map(sign).collect::<Result<_, _>>()?;
    Ok(Seeded { tokens, rooms: meetups })
}

/// Ids grow in the order of insertion, and so does the answer.
async fn insert_people(transaction: &mut PgConnection, tag: &str, users: i32) -> sqlx::Result<Vec<UserId>> {
    let mut people: Vec<UserId> = sqlx::query_scalar(
        "insert into users (email, email_verified_at, nickname)
         select format('%s-%s@seed.invalid', $1, n), now(), format('%s-%s', $1, n)
         from generate_series(0, $2 - 1) as n order by n returning id",
    )
    .bind(tag)
    .bind(users)
    .fetch_all(transaction)
    .await?;
    people.sort_unstable();
    Ok(people)
}

/// A room's first person owns it. Where there are fewer members than rooms the others belong to somebody who is not in
/// them: an owner there must be, and nobody is a member of more than they should.
async fn insert_meetups(
    transaction: &mut PgConnection,
    tag: &str,
    people: &[UserId],
    rooms: i32,
    each: i32,
) -> sqlx::Result<Vec<RoomId>> {
    let mut meetups: Vec<RoomId> = sqlx::query_scalar(
        "with meetup as (
             insert into meetups (kind, owner_id, title, category, capacity, member_count)
             select 'club', ($2::bigint[])[1 + n / $4 % people], format('%s-%s', $1, n), 'hobby',
                    greatest(2, members), members
             from (select cardinality($2) as people, cardinality($2)::bigint * $4 as memberships) as counted,
                  generate_series(0, $3 - 1) as n,
                  lateral (select (memberships / $3)::int + (n < memberships % $3)::int as members) as of_room
             order by n returning id),
         room as (insert into chat_rooms (id) select id from meetup)
         select id from meetup",
    )
    .bind(tag)
    .bind(people)
    .bind(rooms)
    .bind(each)
    .fetch_all(transaction)
    .await?;
    meetups.sort_unstable();
    Ok(meetups)
}

async fn insert_memberships(
    transaction: &mut PgConnection,
    people: &[UserId],
    meetups: &[RoomId],
    each: i32,
) -> sqlx::Result<()> {
    let each = usize::try_from(each).unwrap_or_default();
    let members: Vec<UserId> = people.iter().flat_map(|person| std::iter::repeat_n(*person, each)).collect();
    let of_each: Vec<RoomId> = meetups.iter().copied().cycle().take(members.len()).collect();
    sqlx::query(
        "with member as (
             insert into memberships (meetup_id, user_id, role, state)
             select meetup_id, user_id, case when n <= $3 then 'owner' else 'member' end, 'member'
             from unnest($1::bigint[], $2::bigint[]) with ordinality as pair (meetup_id, user_id, n)
             returning meetup_id, user_id)
         insert into read_positions (room_id, user_id, seq) select meetup_id, user_id, 0 from member",
    )
    .bind(&of_each)
    .bind(members)
    .bind(i64::try_from(meetups.len()).unwrap_or(i64::MAX))
    .execute(transaction)
    .await?;
    Ok(())
}

async fn insert_sessions(transaction: &mut PgConnection, people: &[UserId]) -> sqlx::Result<Vec<SessionId>> {
    let mut sessions: Vec<SessionId> = sqlx::query_scalar(
        "insert into sessions (user_id, user_agent)
         select user_id, 'moyiza seed' from unnest($1::bigint[]) with ordinality as person (user_id, n)
         order by n returning id",
    )
    .bind(people)
    .fetch_all(transaction)
    .await?;
    sessions.sort_unstable();
    Ok(sessions)
}
