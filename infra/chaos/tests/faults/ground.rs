//! The cluster that all tests share, well before each of them.

use std::{path::Path, sync::Arc};

use chaos::{
    checker::{self, Room},
    cluster::{Cluster, engine_binary},
    journal::Journal,
    schedule::BROKERS,
    world::{Account, World},
};
use moyiza::servers::Store;

use crate::chatter::Chatter;

/// Engines that run from the start; one more waits for its test.
const ENGINES: usize = 2;

/// The engine that does not run yet.
pub(crate) const SPARE: usize = ENGINES;

/// How long an engine waits for a log that does not answer, in milliseconds.
const LOG_TIMEOUT_MS: &str = "4000";

/// The cluster, and people on it.
pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) world: World,
}

/// A room of its own for a test, and its members.
pub(crate) struct Talk {
    pub(crate) number: i64,
    members: Vec<Account>,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let store = Store::new(root.join(".servers")).unwrap();
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
        let journal = Arc::new(Journal::new(&out, false).unwrap());
        let settings = [
            "--log-partitions",
            "2",
            "--log-timeout-ms",
            LOG_TIMEOUT_MS,
            "--log",
            "info,sqlx=warn,sqlx::postgres::notice=error",
        ];
        let settings = settings.map(str::to_owned);
        let binary = engine_binary().unwrap();
        let cluster = Cluster::start(&store, &binary, ENGINES + 1, &settings, journal).await.unwrap();
        let world = World::new(&cluster).await.unwrap();
        for engine in &cluster.engines()[..ENGINES] {
            engine.start();
        }
        cluster.ready().await;
        Self { cluster, world }
    }

    /// Brings everything up that a failed test left down, and waits until all are ready.
    pub(crate) async fn calm(&self) {
        self.cluster.heal().await;
        self.cluster.revive().await.unwrap();
        for engine in &self.cluster.engines()[..ENGINES] {
            engine.start();
        }
        if self.cluster.engine(ENGINES).is_wanted() {
            self.cluster.engine(ENGINES).leave().await;
        }
        self.cluster.brokers_ready().await;
        self.cluster.ready().await;
    }

    pub(crate) async fn brokers_return(&self, numbers: &[usize]) {
        assert!(numbers.len() < BROKERS);
        for number in numbers {
            self.cluster.restart_broker(*number).await.unwrap();
        }
        self.cluster.brokers_ready().await;
    }

    /// A room with so many members.
    pub(crate) async fn talk(&self, members: usize) -> Talk {
        let members = self.world.people(members).await.unwrap();
        Talk { number: self.world.room(&members).await.unwrap(), members }
    }

    /// A member of it, who follows it from its start on that engine.
    pub(crate) async fn chatter(&self, talk: &Talk, member: usize, engine: usize) -> Chatter {
        let mut chatter = Chatter::new(&talk.members[member], talk.number);
        chatter.follow(self.cluster.engine(engine)).await;
        chatter
    }

    /// Puts a member out for good.
    pub(crate) async fn ban(&self, talk: &Talk, member: usize) {
        self.world.ban(talk.number, talk.members[member].id).await;
    }

    /// Says one last thing and waits until everybody has seen it and it has a row; then nothing may be lost,
    /// repeated, out of order, or different anywhere.
    pub(crate) async fn all_is_well(&self, talk: &Talk, mut chatters: Vec<Chatter>) {
        let last = chatters[0].insist("the last word", &self.cluster).await;
        for chatter in &mut chatters {
            chatter.catches_up(last, &self.cluster).await;
        }
        self.has_row(talk, last).await;
        let reports: Vec<_> = chatters.into_iter().map(Chatter::into_report).collect();
        let room = Room {
            number: talk.number,
            rows: checker::read(self.world.pool(), talk.number, last).await.unwrap(),
            reports: reports.iter().collect(),
            others: Vec::new(),
        };
        let violations = checker::check(&room);
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// Waits until the record at `seq`, and so every one before it, has its row.
    pub(crate) async fn has_row(&self, talk: &Talk, seq: i64) {
        loop {
            let row = sqlx::query("select 1 from chat_messages where room_id = $1 and seq = $2")
                .bind(talk.number)
                .bind(seq)
                .fetch_optional(self.world.pool())
                .await;
            // The pool may still hold connections of a server that was killed.
            if matches!(row, Ok(Some(_))) {
                return;
            }
            // Rows come with the next batch, and nobody announces it.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn stop(self) {
        self.world.pool().close().await;
        self.cluster.stop().await;
    }
}
