//! A database with people and rooms, and nodes on it.

use std::{net::SocketAddr, time::Duration};

use chat_engine::{Backend, Running, Settings};
use clap::Parser;
use parking_lot::Mutex;
use shared::{
    MeetupId, UserId,
    config::{CommonSettings, EngineSettings},
    event::{self, Delivery, Envelope, MeetupEvent},
    signing, testing,
    token::{Claims, Role},
};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::client::Client;

/// One node and what it stands on.
pub(crate) struct World {
    pub(crate) pool: PgPool,
    node: Mutex<Option<Running>>,
    events: Mutex<mpsc::Sender<Delivery>>,
    next_event: Mutex<i64>,
}

/// Somebody with an account and a session.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) token: String,
    pub(crate) claims: Claims,
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    engine: EngineSettings,
    #[command(flatten)]
    common: CommonSettings,
}

pub(crate) fn settings(arguments: &[&str]) -> Settings {
    let first = ["engine", "--engine-addr", "127.0.0.1:0"];
    let Arguments { engine, common } = Arguments::parse_from(first.iter().chain(arguments));
    Settings { engine, common }
}

/// Runs `test` on a node of its own.
pub(crate) async fn with_world(test: impl AsyncFnOnce(&World)) {
    with_world_as(&[], test).await;
}

/// Runs `test` on a node that is configured like this.
pub(crate) async fn with_world_as(arguments: &[&str], test: impl AsyncFnOnce(&World)) {
    let settings = settings(arguments);
    testing::with_database(async |pool, _| {
        let (events, received) = event::local_channel();
        let node =
            chat_engine::start(settings, pool.clone(), Backend::Embedded { events: received }).await.unwrap();
        let world = World {
            pool: pool.clone(),
            node: Mutex::new(Some(node)),
            events: Mutex::new(events),
            next_event: Mutex::new(1),
        };
        test(&world).await;
        world.stop().await;
    })
    .await;
}

impl World {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.node.lock().as_ref().expect("the node runs").addr()
    }

    pub(crate) async fn stop(&self) {
        let node = self.node.lock().take();
        if let Some(node) = node {
            tokio::time::timeout(Duration::from_secs(30), node.stop()).await.expect("the node stops");
        }
    }

    /// Stops the node and starts another on the same database.
    pub(crate) async fn restart(&self) {
        self.stop().await;
        let (events, received) = event::local_channel();
        let backend = Backend::Embedded { events: received };
        let node = chat_engine::start(settings(&[]), self.pool.clone(), backend).await.unwrap();
        *self.node.lock() = Some(node);
        *self.events.lock() = events;
    }

    /// Somebody with a session.
    pub(crate) async fn person(&self) -> Person {
        let name = testing::unique("p");
        let id: UserId = sqlx::query_scalar(
            "insert into users (email, email_verified_at, nickname) values ($1 || '@example.com', now(), $1) returning id",
        )
        .bind(name)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        let session = sqlx::query_scalar("insert into sessions (user_id) values ($1) returning id")
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .unwrap();
        let claims = Claims::new(id, session, Role::User, Duration::from_mins(5));
        Person { id, token: self.sign(&claims).await, claims }
    }

    pub(crate) async fn sign(&self, claims: &Claims) -> String {
        signing::signer(&self.pool).await.unwrap().sign(claims).unwrap()
    }

    /// A room whose members these are and have been from its start.
    pub(crate) async fn room(&self, members: &[&Person]) -> i64 {
        let room: i64 = sqlx::query_scalar(
            "insert into meetups (kind, owner_id, title, category, capacity, member_count) \
             values ('club', $1, 'a room', 'hobby', 1000, $2) returning id",
        )
        .bind(members[0].id)
        .bind(i32::try_from(members.len()).unwrap())
        .fetch_one(&self.pool)
        .await
        .unwrap();
        sqlx::query("insert into chat_rooms (id) values ($1)").bind(room).execute(&self.pool).await.unwrap();
        for member in members {
            self.add_row(room, member).await;
            sqlx::query("insert into read_positions (room_id, user_id, seq) values ($1, $2, 0)")
                .bind(room)
                .bind(member.id)
                .execute(&self.pool)
                .await
                .unwrap();
        }
        room
    }

    /// The row that joining writes, before any event tells of it.
    pub(crate) async fn add_row(&self, room: i64, person: &Person) {
        sqlx::query("insert into memberships (meetup_id, user_id, state) values ($1, $2, 'member')")
            .bind(room)
            .bind(person.id)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Joins as the api does it: the row and, delivered before this returns, the event.
    pub(crate) async fn join(&self, room: i64, person: &Person) {
        self.add_row(room, person).await;
        self.tell(MeetupEvent::MemberJoined { meetup: meetup(room), user: person.id, version: 1 }).await;
    }

    pub(crate) async fn leave(&self, room: i64, person: &Person) {
        sqlx::query(
            "update memberships set state = 'left', version = 2 where meetup_id = $1 and user_id = $2",
        )
        .bind(room)
        .bind(person.id)
        .execute(&self.pool)
        .await
        .unwrap();
        self.tell(MeetupEvent::MemberLeft { meetup: meetup(room), user: person.id, version: 2 }).await;
    }

    /// Delivers an event and waits until its effects are durable.
    pub(crate) async fn tell(&self, event: MeetupEvent) {
        let id = {
            let mut next = self.next_event.lock();
            *next += 1;
            *next
        };
        let (done, answered) = oneshot::channel();
        let events = self.events.lock().clone();
        events.send(Delivery { envelope: Envelope { id, event }, done }).await.unwrap();
        answered.await.expect("the event is taken");
    }

    pub(crate) async fn connect(&self, person: &Person) -> Client {
        Client::connect(self.addr(), &person.token).await
    }

    /// Connected and following.
    pub(crate) async fn connect_to(&self, person: &Person, room: i64) -> Client {
        let mut client = self.connect(person).await;
        client.follow(room).await;
        client
    }
}

fn meetup(room: i64) -> MeetupId {
    room.try_into().unwrap()
}
