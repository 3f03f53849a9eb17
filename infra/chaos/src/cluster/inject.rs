//! Puts a fault on the cluster, and takes it away again.

use anyhow::Result;

use super::Cluster;
use crate::{
    proxy::Mode,
    schedule::{Fault, Kind, Server, Victim},
};

impl Cluster {
    /// Does what the fault says, waits as long as it says, and heals it.
    pub async fn suffer(&self, fault: &Fault) -> Result<()> {
        self.journal.note(&format!("+ {} ({}) for {:?}", fault.kind, fault.victim, fault.lasts));
        self.begin(fault).await?;
        // How long it lasts is the fault itself.
        tokio::time::sleep(fault.lasts).await;
        self.end(fault).await?;
        self.journal.note(&format!("- {} ({})", fault.kind, fault.victim));
        Ok(())
    }

    async fn begin(&self, fault: &Fault) -> Result<()> {
        match (fault.kind, fault.victim) {
            (Kind::KillEngine, Victim::Engine(number)) => self.engine(number).kill().await,
            (Kind::FreezeEngine, Victim::Engine(number)) => self.engine(number).freeze(),
            (Kind::Cut(server), Victim::Engine(number)) => self.engine(number).set(server, Mode::Cut),
            (Kind::Stall(server), Victim::Engine(number)) => self.engine(number).set(server, Mode::Stall),
            (Kind::Isolate, Victim::Engine(number)) => self.engine(number).set_all(Mode::Stall),
            (Kind::JoinAndLeave, Victim::Engine(number)) => self.engine(number).start(),
            (Kind::KillBroker, Victim::Broker(number)) => self.kill_broker(number).await,
            (Kind::FreezeBroker, Victim::Broker(number)) => self.freeze_broker(number).await,
            (Kind::FreezeBrokers, _) => self.freeze_brokers().await,
            (Kind::KillRedis, _) => self.kill_redis().await,
            (Kind::FreezeRedis, _) => self.redis.lock().await.child().freeze(),
            (Kind::KillPostgres, _) => self.kill_postgres().await,
            (Kind::FreezePostgres, _) => self.postgres.lock().await.freeze(),
            (kind, victim) => anyhow::bail!("{kind} cannot be done to {victim}"),
        }
        Ok(())
    }

    async fn end(&self, fault: &Fault) -> Result<()> {
        match (fault.kind, fault.victim) {
            (Kind::KillEngine, Victim::Engine(number)) => self.engine(number).start(),
            (Kind::FreezeEngine, Victim::Engine(number)) => self.engine(number).thaw(),
            (Kind::Cut(server) | Kind::Stall(server), Victim::Engine(number)) => {
                self.engine(number).set(server, Mode::Pass);
            }
            (Kind::Isolate, Victim::Engine(number)) => self.engine(number).set_all(Mode::Pass),
            (Kind::JoinAndLeave, Victim::Engine(number)) => self.engine(number).leave().await,
            (Kind::KillBroker, Victim::Broker(number)) => self.restart_broker(number).await?,
            (Kind::FreezeBroker, Victim::Broker(number)) => self.thaw_broker(number).await,
            (Kind::FreezeBrokers, _) => self.thaw_brokers().await,
            (Kind::KillRedis, _) => self.restart_redis().await?,
            (Kind::FreezeRedis, _) => self.redis.lock().await.child().thaw(),
            (Kind::KillPostgres, _) => self.restart_postgres().await?,
            (Kind::FreezePostgres, _) => self.postgres.lock().await.thaw(),
            (kind, victim) => anyhow::bail!("{kind} cannot be done to {victim}"),
        }
        Ok(())
    }

    /// SIGKILL of the broker at `number`.
    pub async fn kill_broker(&self, number: usize) {
        self.kafka.lock().await.broker(number).kill().await;
    }

    /// Starts it again, and does not wait for it.
    pub async fn restart_broker(&self, number: usize) -> Result<()> {
        self.kafka.lock().await.restart(number).await
    }

    /// Waits until every broker knows all the others.
    pub async fn brokers_ready(&self) {
        let kafka = self.kafka.lock().await;
        for number in 0..crate::schedule::BROKERS {
            kafka.ready(number).await;
        }
    }

    /// SIGSTOP of the broker at `number`.
    pub async fn freeze_broker(&self, number: usize) {
        self.kafka.lock().await.broker(number).freeze();
    }

    /// SIGCONT of the broker at `number`.
    pub async fn thaw_broker(&self, number: usize) {
        self.kafka.lock().await.broker(number).thaw();
    }

    /// SIGSTOP of every broker.
    pub async fn freeze_brokers(&self) {
        self.kafka.lock().await.children().for_each(moyiza::servers::child::Child::freeze);
    }

    /// SIGCONT of every broker.
    pub async fn thaw_brokers(&self) {
        self.kafka.lock().await.children().for_each(moyiza::servers::child::Child::thaw);
    }

    /// SIGKILL of Redis.
    pub async fn kill_redis(&self) {
        self.redis.lock().await.child().kill().await;
    }

    /// Starts it again on its data.
    pub async fn restart_redis(&self) -> Result<()> {
        self.redis.lock().await.restart().await
    }

    /// SIGSTOP of Redis.
    pub async fn freeze_redis(&self) {
        self.redis.lock().await.child().freeze();
    }

    /// SIGCONT of Redis.
    pub async fn thaw_redis(&self) {
        self.redis.lock().await.child().thaw();
    }

    /// SIGKILL of all of PostgreSQL's processes.
    pub async fn kill_postgres(&self) {
        self.postgres.lock().await.kill().await;
    }

    /// Starts it again on its data.
    pub async fn restart_postgres(&self) -> Result<()> {
        self.postgres.lock().await.restart().await
    }

    /// SIGSTOP of all of PostgreSQL's processes.
    pub async fn freeze_postgres(&self) {
        self.postgres.lock().await.freeze();
    }

    /// SIGCONT of all of PostgreSQL's processes.
    pub async fn thaw_postgres(&self) {
        self.postgres.lock().await.thaw();
    }

    /// Starts every server again that is down.
    pub async fn revive(&self) -> Result<()> {
        let mut kafka = self.kafka.lock().await;
        for number in 0..crate::schedule::BROKERS {
            if kafka.broker(number).has_ended() {
                kafka.restart(number).await?;
            }
        }
        drop(kafka);
        let mut redis = self.redis.lock().await;
        if redis.child().has_ended() {
            redis.restart().await?;
        }
        drop(redis);
        let mut postgres = self.postgres.lock().await;
        if postgres.has_ended() {
            postgres.restart().await?;
        }
        Ok(())
    }

    /// Takes away every partition and every freeze. What was killed starts again at its own fault's end.
    pub async fn heal(&self) {
        for engine in &self.engines {
            engine.thaw();
            for server in [Server::Kafka, Server::Redis, Server::Postgres] {
                engine.set(server, Mode::Pass);
            }
        }
        self.thaw_brokers().await;
        self.thaw_redis().await;
        self.thaw_postgres().await;
        self.journal.note("healed");
    }
}
