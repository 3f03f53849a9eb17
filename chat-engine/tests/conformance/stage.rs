//! The engine that all cases share, and what a case needs of it.

use std::{net::SocketAddr, sync::Arc};

use chat_engine::{Backend, Running};
use shared::{event, testing};
use sqlx::PgPool;
use tokio::runtime::Handle;

use crate::{client::Client, people, requirements::Version, rooms, settings::settings};

/// The engine's heart-beats, in milliseconds: short, because cases wait for several.
pub(crate) const HEART_BEAT_MS: u64 = 200;

/// Messages that a subscription may leave unanswered: few, because cases go beyond it.
pub(crate) const UNACKNOWLEDGED: usize = 8;

/// One engine, for all cases at once.
pub(crate) struct World {
    addr: SocketAddr,
    pool: PgPool,
    runtime: Handle,
}

/// Where a case plays: the engine and the version that the case is about.
pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    pub(crate) version: Version,
}

impl World {
    pub(crate) async fn start(pool: PgPool) -> (Self, Running) {
        let prefix = testing::unique("t") + ".";
        let heart_beat = format!("{HEART_BEAT_MS},{HEART_BEAT_MS}");
        let unacknowledged = UNACKNOWLEDGED.to_string();
        let arguments = ["--heart-beat-ms", &heart_beat, "--max-unacknowledged", &unacknowledged];
        let settings = settings(&prefix, arguments);
        let (_, events) = event::local_channel();
        let engine = chat_engine::start(settings, pool.clone(), Backend::Embedded { events })
            .await
            .expect("the engine starts");
        (Self { addr: engine.addr(), pool, runtime: Handle::current() }, engine)
    }
}

impl Stage {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.world.addr
    }

    /// An access token of somebody new.
    pub(crate) fn token(&self) -> String {
        let pool = &self.world.pool;
        self.world.runtime.block_on(async { people::sign(pool, &people::sign_up(pool).await).await })
    }

    /// A destination that no other case uses.
    #[expect(clippy::unused_self, reason = "a case asks its stage for all it needs")]
    pub(crate) fn topic(&self) -> String {
        format!("/topic/{}", testing::unique("c"))
    }

    /// A WebSocket of this version's sub-protocol that has not said CONNECT.
    pub(crate) fn open(&self) -> Client {
        Client::open(self.addr(), Some(self.version))
    }

    /// Connected in this version.
    pub(crate) fn connect(&self) -> Client {
        self.connect_in(self.version)
    }

    /// Connected in some version.
    pub(crate) fn connect_in(&self, version: Version) -> Client {
        self.connect_with(version, "")
    }

    /// Two who are connected, and the chat room whose members they are.
    pub(crate) fn roommates(&self) -> (Client, Client, String) {
        let pool = &self.world.pool;
        let (room, [one, other]) = self.world.runtime.block_on(async {
            let claims = [people::sign_up(pool).await, people::sign_up(pool).await];
            let room = rooms::open(pool, &claims.each_ref().map(|claims| claims.sub)).await;
            (room, [people::sign(pool, &claims[0]).await, people::sign(pool, &claims[1]).await])
        });
        let connect = |token: &str| self.connect_by(token, self.version, "");
        (connect(&one), connect(&other), format!("/chat/{room}"))
    }

    /// Connected with more headers, each ended by a newline.
    pub(crate) fn connect_with(&self, version: Version, headers: &str) -> Client {
        self.connect_by(&self.token(), version, headers)
    }

    fn connect_by(&self, token: &str, version: Version, headers: &str) -> Client {
        let mut client = Client::open(self.addr(), Some(version));
        let accept = match version {
            Version::V10 => "",
            Version::V11 => "accept-version:1.1\n",
            Version::V12 => "accept-version:1.2\n",
        };
        client.say(&format!("CONNECT\n{accept}host:test\nAuthorization:Bearer {token}\n{headers}\n^@"));
        client.expect("CONNECTED");
        client
    }

    /// One who speaks, one who listens under the id `s`, and where.
    pub(crate) fn pair(&self) -> (Client, Client, String) {
        self.pair_with(self.version)
    }

    /// The same, the listener being of another version.
    pub(crate) fn pair_with(&self, listens_in: Version) -> (Client, Client, String) {
        let topic = self.topic();
        let mut listener = self.connect_in(listens_in);
        listener.subscribe("s", &topic, "");
        (self.connect(), listener, topic)
    }
}
