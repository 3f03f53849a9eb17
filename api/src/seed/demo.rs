//! A living page at the first start.

use anyhow::Context as _;
use shared::{RoomId, UserId};
use sqlx::{PgConnection, PgPool};

use crate::account::{Password, hashing::Hashing};

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
    /// All of them are members of the club, which the first owns. The second owns the oneday, and the third
    /// takes part in it.
    pub people: [DemoPerson; 3],
    /// The club's room.
    pub club: RoomId,
    /// The oneday's room.
    pub oneday: RoomId,
}

/// Serialises the planting among processes that start at once.
const DEMO_LOCK: i64 = 0x6d6f_7969_7a61_0003;

/// Nickname, address, password.
const PEOPLE: [(&str, &str, &str); 3] = [
    ("민아", "mina@moyiza.example", "mina-runs-early"),
    ("준호", "junho@moyiza.example", "junho-has-a-camera"),
    ("서연", "seoyeon@moyiza.example", "seoyeon-knows-cafes"),
];

const CLUB: (&str, &str) = (
    "한강 새벽 러닝",
    "매주 화·목 아침 6시 30분, 여의나루역 2번 출구에서 만나 5km를 천천히 달립니다.\n\
     처음 달리는 분도 괜찮아요. 끝나고 따뜻한 커피 한 잔 하고 헤어집니다.",
);
const ONEDAY: (&str, &str, &str) = (
    "서촌 골목 사진 산책",
    "필름이든 휴대폰이든 좋아요. 통인시장에서 시작해 수성동 계곡까지 두 시간쯤 걷습니다.",
    "경복궁역 2번 출구",
);

/// Plants three people, a club and a oneday if, and only if, the instance has no user yet.
pub async fn demo(pool: &PgPool) -> anyhow::Result<Option<Demo>> {
    // Every later start ends here, without three hashes.
    if sqlx::query_scalar("select exists (select from users)").fetch_one(pool).await? {
        return Ok(None);
    }
    let hashing = Hashing::new().await?;
    let mut hashes = Vec::new();
    for (_, _, password) in PEOPLE {
        let password = Password::parse(password).map_err(|flaw| anyhow::anyhow!(flaw.message))?;
        hashes.push(hashing.hash(password).await.map_err(|problem| anyhow::anyhow!("{problem}"))?);
    }
    let mut transaction = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(DEMO_LOCK).execute(&mut *transaction).await?;
    // A lock on the table too: somebody may be signing up as the very first right now.
    sqlx::query("lock table users in share row exclusive mode").execute(&mut *transaction).await?;
    if sqlx::query_scalar("select exists (select from users)").fetch_one(&mut *transaction).await? {
        return Ok(None);
    }
    let ids = insert_people(&mut transaction, &hashes).await?;
    let club = insert_club(&mut transaction, &ids).await?;
    let oneday = insert_oneday(&mut transaction, &ids[1..]).await?;
    transaction.commit().await?;

    let people = PEOPLE.iter().zip(ids).map(|((nickname, email, password), id)| DemoPerson {
        nickname: (*nickname).into(),
        email: (*email).into(),
        password: (*password).into(),
        id,
    });
    let people = people.collect::<Vec<_>>().try_into().ok().context("three people")?;
    Ok(Some(Demo { people, club, oneday }))
}

async fn insert_people(transaction: &mut PgConnection, hashes: &[String]) -> sqlx::Result<Vec<UserId>> {
    let mut ids: Vec<UserId> = sqlx::query_scalar(
        "insert into users (email, email_verified_at, nickname, password_hash)
         select email, now(), nickname, hash
         from unnest($1::text[], $2::text[], $3::text[]) with ordinality as person (email, nickname, hash, n)
         order by n returning id",
    )
    .bind(PEOPLE.map(|(_, email, _)| email))
    .bind(PEOPLE.map(|(nickname, _, _)| nickname))
    .bind(hashes)
    .fetch_all(transaction)
    .await?;
    ids.sort_unstable();
    Ok(ids)
}

async fn insert_club(transaction: &mut PgConnection, members: &[UserId]) -> sqlx::Result<RoomId> {
    let (title, content) = CLUB;
    let id = sqlx::query_scalar(
        "insert into meetups (kind, owner_id, title, content, category, capacity, member_count)
         values ('club', ($1::bigint[])[1], $2, $3, 'exercise', 20, cardinality($1)) returning id",
    )
    .bind(members)
    .bind(title)
    .bind(content)
    .fetch_one(&mut *transaction)
    .await?;
    insert_room(transaction, id, members).await?;
    Ok(id)
}

/// On a Saturday six to twelve days ahead, at two in the afternoon.
async fn insert_oneday(transaction: &mut PgConnection, members: &[UserId]) -> sqlx::Result<RoomId> {
    let (title, content, place) = ONEDAY;
    let id = sqlx::query_scalar(
        "insert into meetups (kind, owner_id, title, content, category, capacity, member_count,
                              place, time_zone, starts_at, ends_at)
         select 'oneday', ($1::bigint[])[1], $2, $3, 'culture', 8, cardinality($1), $4, 'Asia/Seoul',
                start at time zone 'Asia/Seoul', (start + interval '2 hours') at time zone 'Asia/Seoul'
         from (select date_trunc('week', now() at time zone 'Asia/Seoul')
                      + interval '12 days 14 hours') as saturday (start)
         returning id",
    )
    .bind(members)
    .bind(title)
    .bind(content)
    .bind(place)
    .fetch_one(&mut *transaction)
    .await?;
    insert_room(transaction, id, members).await?;
    Ok(id)
}

/// The chat room and its members, the owner first.
async fn insert_room(transaction: &mut PgConnection, id: RoomId, members: &[UserId]) -> sqlx::Result<()> {
    sqlx::query("insert into chat_rooms (id) values ($1)").bind(id).execute(&mut *transaction).await?;
    sqlx::query(
        "with member as (
             insert into memberships (meetup_id, user_id, role, state)
             select $1, user_id, case when n = 1 then 'owner' else 'member' end, 'member'
             from unnest($2::bigint[]) with ordinality as person (user_id, n)
             returning user_id)
         insert into read_positions (room_id, user_id, seq) select $1, user_id, 0 from member",
    )
    .bind(id)
    .bind(members)
    .execute(transaction)
    .await?;
    Ok(())
}
