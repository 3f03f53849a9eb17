//! A database with people and rooms, and nodes on it.

mod members;
mod rows;

use std::net::SocketAddr;

use chat_engine::{Backend, Running, log::kafka::client_config};
use parking_lot::Mutex;
use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::FutureProducer,
};
use shared::{
    UserId,
    event::{self, Delivery},
    names::Topics,
    testing,
    token::Claims,
};
use sqlx::PgPool;
use tokio::sync::mpsc;

pub(crate) use members::meetup;

use crate::{
    client::{Client, PATIENCE},
    peer::Peer,
    people, rooms,
    settings::settings,
};

/// What the nodes stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// One node by itself.
    Embedded,
    /// Two nodes on real Kafka and Redis.
    Cluster,
    /// Names on real Kafka and Redis; the test starts its nodes itself.
    ProcessesOnly,
}

/// Nodes and what they stand on.
pub(crate) struct World {
    pub(crate) pool: PgPool,
    database_url: String,
    backing: Backing,
    redis_url: Option<String>,
    prefix: String,
    arguments: Vec<String>,
    nodes: Mutex<Vec<Running>>,
    pools: Mutex<Vec<PgPool>>,
    events: Mutex<Option<Events>>,
    next_event: Mutex<i64>,
}

/// The way events come to the nodes.
#[derive(Clone)]
enum Events {
    Local(mpsc::Sender<Delivery>),
    Kafka(FutureProducer),
}

/// Makes a test of each of these for each backend.
macro_rules! on_both_backends {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test] async fn $test() {
                crate::world::with_world_as(crate::world::Backing::Embedded, &[], super::$test).await;
            })*
        }
        mod cluster {
            $(#[tokio::test] async fn $test() {
                crate::world::with_world_as(crate::world::Backing::Cluster, &[], super::$test).await;
            })*
        }
    };
}
pub(crate) use on_both_backends;

/// Somebody with an account and a session.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) token: String,
    pub(crate) claims: Claims,
}

/// Runs `test` on nodes of its own, configured like this.
pub(crate) async fn with_world_as(backing: Backing, arguments: &[&str], test: impl AsyncFnOnce(&World)) {
    with_world_on(None, backing, arguments, test).await;
}

/// The same with the nodes of a cluster on this Redis, and not on that of all tests.
pub(crate) async fn with_world_on(
    redis_url: Option<&str>,
    backing: Backing,
    arguments: &[&str],
    test: impl AsyncFnOnce(&World),
) {
    testing::with_database(async |pool, url| {
        let world = World {
            pool: pool.clone(),
            database_url: url.to_owned(),
            backing,
            redis_url: redis_url.map(str::to_owned),
            prefix: testing::unique("t") + ".",
            arguments: arguments.iter().map(ToString::to_string).collect(),
            nodes: Mutex::default(),
            pools: Mutex::default(),
            events: Mutex::default(),
            next_event: Mutex::new(1),
        };
        world.start().await;
        test(&world).await;
        world.stop().await;
        world.clean_up().await;
    })
    .await;
}

impl World {
    async fn start(&self) {
        let count = match self.backing {
            Backing::Embedded => 1,
            Backing::Cluster => 2,
            Backing::ProcessesOnly => 0,
        };
        for _ in 0..count {
            let (backend, events) = match self.backing {
                Backing::Embedded => {
                    let (events, received) = event::local_channel();
                    (Backend::Embedded { events: received }, Events::Local(events))
                }
                Backing::Cluster | Backing::ProcessesOnly => {
                    let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
                    let shared = || testing::server("MOYIZA_TEST_REDIS_URL");
                    let redis_url = self.redis_url.clone().unwrap_or_else(shared);
                    let producer = client_config(&brokers).set("linger.ms", "0").create().unwrap();
                    (Backend::Cluster { brokers, redis_url }, Events::Kafka(producer))
                }
            };
            let settings = settings(&self.prefix, self.arguments.iter().map(String::as_str));
            // Of its own: a node that stops drops what it was asking.
            let pool = shared::database::connect(&self.database_url, 8).await.unwrap();
            let node = chat_engine::start(settings, pool.clone(), backend).await.unwrap();
            self.nodes.lock().push(node);
            self.pools.lock().push(pool);
            *self.events.lock() = Some(events);
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.backing != Backing::Embedded
    }

    /// Begins every name on the servers that tests share.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where the nodes' database is.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The node of a person: every second one is on the other, if there are two.
    pub(crate) fn addr_for(&self, person: &Person) -> SocketAddr {
        let nodes = self.nodes.lock();
        let node = person.id.get().unsigned_abs() % nodes.len() as u64;
        nodes.get(usize::try_from(node).unwrap()).expect("a node runs").addr()
    }

    /// Every node, in turn and for ever.
    pub(crate) fn addrs(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let addrs: Vec<_> = self.nodes.lock().iter().map(Running::addr).collect();
        addrs.into_iter().cycle()
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.lock().len()
    }

    /// Some node.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.nodes.lock().first().expect("a node runs").addr()
    }

    pub(crate) async fn stop(&self) {
        let nodes = std::mem::take(&mut *self.nodes.lock());
        for node in nodes {
            tokio::time::timeout(PATIENCE, node.stop()).await.expect("the node stops");
        }
        let pools = std::mem::take(&mut *self.pools.lock());
        for pool in pools {
            pool.close().await;
        }
    }

    /// Stops every node and starts as many on the same data. They are ready: who asked a load balancer would not be sent
    /// to one that does not know yet what the last minutes' log says.
    pub(crate) async fn restart(&self) {
        self.restart_only().await;
        let addrs: Vec<_> = self.nodes.lock().iter().map(Running::addr).collect();
        for addr in addrs {
            ready(addr).await;
        }
    }

    /// The same without waiting until they are ready.
    pub(crate) async fn restart_only(&self) {
        self.stop().await;
        self.start().await;
    }

    async fn clean_up(&self) {
        if self.backing != Backing::Embedded {
            let brokers = testing::server("MOYIZA_TEST_KAFKA_BROKERS");
            let admin: AdminClient<DefaultClientContext> = client_config(&brokers).create().unwrap();
            let topics = Topics::new(&*self.prefix);
            let last: Option<i16> =
                sqlx::query_scalar("select max(epoch) from log_epochs").fetch_one(&self.pool).await.unwrap();
            let mut names: Vec<_> =
                (1..=last.unwrap_or(1)).map(|epoch| topics.chat_log(epoch.cast_unsigned())).collect();
            names.extend([topics.meetup_events(), topics.dead_letter()]);
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            admin.delete_topics(&names, &AdminOptions::new()).await.unwrap();
        }
    }

    /// Somebody with a session.
    pub(crate) async fn person(&self) -> Person {
        let claims = people::sign_up(&self.pool).await;
        Person { id: claims.sub, token: self.sign(&claims).await, claims }
    }

    pub(crate) async fn sign(&self, claims: &Claims) -> String {
        people::sign(&self.pool, claims).await
    }

    /// A room whose members these are and have been from its start.
    pub(crate) async fn room(&self, members: &[&Person]) -> i64 {
        rooms::open(&self.pool, &members.iter().map(|member| member.id).collect::<Vec<_>>()).await
    }

    /// So many people, and a room whose members they have been from its start.
    pub(crate) async fn room_of_people<const COUNT: usize>(&self) -> ([Person; COUNT], i64) {
        let (people, rooms) = self.crowd(COUNT, 1).await;
        (people.try_into().expect("so many were asked for"), rooms[0])
    }

    /// So many people in so many rooms: person i is a member of room i mod `rooms`.
    pub(crate) async fn crowd(&self, people: usize, rooms: usize) -> (Vec<Person>, Vec<i64>) {
        let mut crowd = Vec::new();
        for _ in 0..people {
            crowd.push(self.person().await);
        }
        let mut numbers = Vec::new();
        for n in 0..rooms {
            numbers.push(self.room(&crowd.iter().skip(n).step_by(rooms).collect::<Vec<_>>()).await);
        }
        (crowd, numbers)
    }

    pub(crate) async fn connect(&self, person: &Person) -> Client {
        Client::connect(self.addr_for(person), &person.token).await
    }

    /// Connected and following.
    pub(crate) async fn connect_to(&self, person: &Person, room: i64) -> Client {
        let mut client = self.connect(person).await;
        client.follow(room).await;
        client
    }
}

/// Waits until a node is ready.
async fn ready(addr: SocketAddr) {
    let answer = async || request(addr, "/readyz").await;
    testing::becomes("a node that is ready", answer, |answer| answer.starts_with("HTTP/1.1 200")).await;
}

/// What a node tells of itself.
pub(crate) async fn metrics(addr: SocketAddr) -> String {
    request(addr, "/metrics").await
}

async fn request(addr: SocketAddr, path: &str) -> String {
    let mut peer = Peer::dial(addr).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    peer.write(request.as_bytes()).await;
    peer.response().await.expect("a response")
}

/// A metric of a node, by its name and labels; 0 for one that is not there.
pub(crate) async fn metric(addr: SocketAddr, name: &str) -> u64 {
    let metrics = metrics(addr).await;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a number"))
}

/// Waits until a metric is as wanted.
pub(crate) async fn metric_becomes(addr: SocketAddr, name: &str, wanted: u64) {
    let what = format!("{name} to be {wanted}");
    testing::becomes(&what, async || metric(addr, name).await, |value| *value == wanted).await;
}
