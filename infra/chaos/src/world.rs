//! People, rooms and memberships, as the api would write them.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{
    MeetupId, SessionId, UserId,
    event::{Envelope, LeaveReason, MeetupEvent},
    names::Topics,
    signing,
    token::{Claims, Role},
};
use sqlx::PgPool;

use crate::cluster::{Cluster, POLL, PREFIX};

/// Longer than any run.
const TOKEN_LIFE: Duration = Duration::from_hours(24);

/// Somebody with an account, a session and a token.
#[derive(Clone, Debug)]
pub struct Account {
    /// As the rows have it.
    pub id: i64,
    /// An access token.
    pub token: String,
}

/// The database and the topic of events, by no proxy.
pub struct World {
    pool: PgPool,
    producer: FutureProducer,
    topic: String,
    next_event: AtomicI64,
}

impl World {
    /// On a cluster whose servers run; makes the schema.
    pub async fn new(cluster: &Cluster) -> Result<Self> {
        let pool = shared::database::open(cluster.database_url(), 16).await?;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.brokers())
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "20000")
            .set("linger.ms", "0")
            .create()?;
        let topic = Topics::new(PREFIX).meetup_events();
        Ok(Self { pool, producer, topic, next_event: AtomicI64::new(1) })
    }

    /// The database.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// So many new people.
    pub async fn people(&self, count: usize) -> Result<Vec<Account>> {
        let signer = signing::signer(&self.pool).await?;
        let rows: Vec<(UserId, SessionId)> = sqlx::query_as(
            "with made as (insert into users (email, email_verified_at, nickname) \
             select name || '@example.com', now(), name \
             from (select 'c' || gen_random_uuid() as name from generate_series(1, $1)) names returning id) \
             insert into sessions (user_id) select id from made returning user_id, id",
        )
        .bind(i32::try_from(count)?)
        .fetch_all(&self.pool)
        .await?;
        let account = |(user, session): (UserId, SessionId)| {
            let token = signer.sign(&Claims::new(user, session, Role::User, TOKEN_LIFE))?;
            Ok(Account { id: user.get(), token })
        };
        rows.into_iter().map(account).collect()
    }

    /// A room whose members these are from its start.
    pub async fn room(&self, members: &[Account]) -> Result<i64> {
        let ids: Vec<i64> = members.iter().map(|member| member.id).collect();
        let owner = ids.first().context("a room without members")?;
        let mut transaction = self.pool.begin().await?;
        let room: i64 = sqlx::query_scalar(
            "insert into meetups (kind, owner_id, title, category, capacity, member_count) \
             values ('club', $1, 'a room', 'hobby', 1000, $2) returning id",
        )
        .bind(owner)
        .bind(i32::try_from(ids.len())?)
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query("insert into chat_rooms (id) values ($1)").bind(room).execute(&mut *transaction).await?;
        for statement in [
            "insert into memberships (meetup_id, user_id, state) select $1, unnest($2::bigint[]), 'member'",
            "insert into read_positions (room_id, user_id, seq) select $1, unnest($2::bigint[]), 0",
        ] {
            sqlx::query(statement).bind(room).bind(&ids).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(room)
    }

    /// Makes `user` a member or no member, and returns once the event that tells of it is with the brokers, however
    /// often the database and they have to be asked.
    pub async fn set_member(&self, room: i64, user: i64, member: bool) {
        let left = (!member).then_some(LeaveReason::Left);
        self.set_state(room, user, if member { "member" } else { "left" }, left).await;
    }

    /// The same for who is put out of a room for good.
    pub async fn ban(&self, room: i64, user: i64) {
        self.set_state(room, user, "banned", Some(LeaveReason::Banned)).await;
    }

    async fn set_state(&self, room: i64, user: i64, state: &str, left: Option<LeaveReason>) {
        let version = loop {
            let written: sqlx::Result<i64> = sqlx::query_scalar(
                "update memberships set state = $3, version = version + (state <> $3)::int \
                 where meetup_id = $1 and user_id = $2 returning version",
            )
            .bind(room)
            .bind(user)
            .bind(state)
            .fetch_one(&self.pool)
            .await;
            match written {
                Ok(version) => break version,
                // It is away, or was as it answered: the second time changes nothing.
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        // Both are numbers of rows.
        let (Ok(meetup), Ok(user)) = (MeetupId::try_from(room), UserId::try_from(user)) else { return };
        let event = match left {
            None => MeetupEvent::MemberJoined { meetup, user, version },
            Some(reason) => MeetupEvent::MemberLeft { meetup, user, version, reason },
        };
        self.tell(event).await;
    }

    async fn tell(&self, event: MeetupEvent) {
        let envelope = Envelope { id: self.next_event.fetch_add(1, Ordering::Relaxed), event };
        let key = envelope.event.key().to_string();
        let payload = serde_json::to_vec(&envelope).expect("an event is JSON");
        loop {
            let record = FutureRecord::to(&self.topic).key(&key).payload(&payload);
            if self.producer.send(record, Timeout::Never).await.is_ok() {
                return;
            }
        }
    }
}
