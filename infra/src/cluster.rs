//! `moyiza cluster`: two engine nodes and two api nodes on PostgreSQL, Redis and Kafka, each its own process.

mod node;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use chat_engine::{
    log::{Log, epoch, kafka},
    record::Draft,
};
use rustix::process::Signal;
use shared::{limits, names::Topics};
use sqlx::PgPool;

use self::node::Node;
use crate::{
    address,
    cli::Run,
    database::Database,
    demo, embedded,
    instance::{Instance, Mode, Record},
    servers::{Kafka, Redis, Store},
    stop::StopSignals,
};

/// How long a node may take to become ready. The first start makes topics and loads Redis functions.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs until a signal asks to stop, or a part fails.
pub async fn run(run: Run) -> Result<()> {
    let mut signals = StopSignals::new()?;
    limits::raise_open_files();
    let instance = Instance::open(&run.launcher.dir)?;
    let plan = Plan::new(run)?;
    let mut parts = Parts::default();
    let failure = tokio::select! {
        error = parts.start_and_watch(&instance, &plan) => Some(error),
        _ = signals.next() => None,
    };
    if let Some(error) = &failure {
        // At once: what the other parts say of it meanwhile is not the cause.
        tracing::error!(cause = format!("{error:#}"), "stopping");
    } else {
        tracing::info!("stopping");
    }
    tokio::select! {
        () = parts.stop() => {}
        _ = signals.next() => return Err(anyhow!("stopped before everything was drained")),
    }
    failure.map_or(Ok(()), Err)
}

/// Who listens where, and with what settings.
#[derive(Debug)]
struct Plan {
    run: Run,
    engines: [SocketAddr; 2],
    apis: [SocketAddr; 2],
    /// Beside the running executable, where one build puts them all.
    binaries: PathBuf,
}

impl Plan {
    fn new(run: Run) -> Result<Self> {
        let first_api = address::settle(run.api.api_addr, "MOYIZA_API_ADDR")?;
        let second_api = address::settle(address::next_to(run.api.api_addr, 10)?, "MOYIZA_API_ADDR")?;
        let first_engine = address::settle(run.engine.engine_addr, "MOYIZA_ENGINE_ADDR")?;
        let second_engine =
            address::settle(address::next_to(run.engine.engine_addr, 1)?, "MOYIZA_ENGINE_ADDR")?;
        let executable = std::env::current_exe().context("where is this program?")?;
        let binaries = executable.parent().context("where is this program?")?.to_owned();
        for binary in ["api", "chat-engine"] {
            if !binaries.join(binary).is_file() {
                let shown = binaries.display();
                return Err(anyhow!("`{binary}` is not in {shown}: build it with `cargo build --workspace`"));
            }
        }
        Ok(Self { run, engines: [first_engine, second_engine], apis: [first_api, second_api], binaries })
    }

    fn origins(&self) -> String {
        if self.run.engine.origins.is_empty() {
            address::origins(&self.apis).join(",")
        } else {
            self.run.engine.origins.join(",")
        }
    }

    /// What all nodes are told, beside what the environment and the command line say.
    fn shared_variables(&self, database: &str, redis: &str, kafka: &str) -> Vec<(String, String)> {
        let connections = self.run.common.database_connections.to_string();
        [
            ("DATABASE_URL", database),
            ("MOYIZA_DATABASE_CONNECTIONS", &connections),
            ("MOYIZA_REDIS_URL", redis),
            ("MOYIZA_KAFKA_BROKERS", kafka),
            ("MOYIZA_DEVELOPMENT", if self.run.common.development { "true" } else { "false" }),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// The value of one of the shared variables.
fn variable<'a>(variables: &'a [(String, String)], name: &str) -> &'a str {
    variables.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

/// Posts straight to the log: no engine runs in this process.
async fn say(database: &PgPool, brokers: &str, plan: &Plan, sayings: [demo::Saying; 6]) -> Result<()> {
    let topics = Topics::new(&*plan.run.common.prefix);
    let epoch = epoch::current(database, epoch::Backend::Kafka, plan.run.engine.log_partitions).await?;
    kafka::ensure(brokers, &topics, epoch).await?;
    let pace = (&plan.run.engine).into();
    let log = Log::Kafka(kafka::KafkaLog::new(brokers, &topics, epoch, pace, Arc::default())?);
    for (room, sender, content) in sayings {
        log.append_durably(Draft::message(room, sender, None, None, content)).await?;
    }
    Ok(())
}

/// What runs, as far as it has been started.
#[derive(Debug, Default)]
struct Parts {
    database: Option<Database>,
    redis: Option<Redis>,
    kafka: Option<Kafka>,
    nodes: Vec<Node>,
}

impl Parts {
    /// Starts everything, says so, and waits until a part has failed.
    async fn start_and_watch(&mut self, instance: &Instance, plan: &Plan) -> anyhow::Error {
        if let Err(error) = self.start(instance, plan).await {
            return error;
        }
        embedded::announce(plan.apis[0]);
        self.failed().await
    }

    async fn start(&mut self, instance: &Instance, plan: &Plan) -> Result<()> {
        let store = Store::new(&plan.run.launcher.servers_dir)?;
        let shared = self.start_servers(&store, instance.directory(), plan).await?;
        let engines = plan.engines.map(|addr| {
            Node::engine(plan, addr).variables(&shared).variable("MOYIZA_ORIGINS", &plan.origins())
        });
        // The engines first: they make the topics. One by one: the second finds what the first made.
        for engine in engines {
            self.start_node(engine).await?;
        }
        for (addr, engine) in plan.apis.into_iter().zip(plan.engines) {
            let url = format!("ws://{}/ws", address::local_host_and_port(engine));
            self.start_node(Node::api(plan, addr).variables(&shared).variable("MOYIZA_ENGINE_URL", &url))
                .await?;
        }
        let database = self.database.as_ref().context("the database was started first")?;
        if plan.run.plants_demo() {
            let brokers = variable(&shared, "MOYIZA_KAFKA_BROKERS");
            let say = async |sayings| say(&database.pool, brokers, plan, sayings).await;
            demo::plant(&database.pool, say).await.context("cannot plant the demo data")?;
        }
        instance.write(&Record {
            mode: Mode::Cluster,
            database_url: database.url.clone(),
            development: plan.run.common.development,
            api: plan.apis.map(|addr| format!("http://{addr}")).into(),
            engines: plan.engines.map(|addr| format!("http://{addr}")).into(),
        })
    }

    /// Starts what was not given by its URL, all at once; returns what nodes are told of it.
    async fn start_servers(
        &mut self,
        store: &Store,
        directory: &Path,
        plan: &Plan,
    ) -> Result<Vec<(String, String)>> {
        let common = &plan.run.common;
        let database = Database::open(common.database_url.as_deref(), 2, store, directory);
        let redis = async {
            match &common.redis_url {
                Some(url) => Ok((url.clone(), None)),
                None => Redis::start(store, directory, true).await.map(|redis| (redis.url(), Some(redis))),
            }
        };
        let kafka = async {
            match &common.kafka_brokers {
                Some(brokers) => Ok((brokers.clone(), None)),
                None => Kafka::start(store, directory, plan.run.launcher.kafka_nodes)
                    .await
                    .map(|kafka| (kafka.bootstrap(), Some(kafka))),
            }
        };
        let (database, redis, kafka) = tokio::join!(database, redis, kafka);
        // What did start is kept first, so that it is stopped in order when another did not.
        let (redis_result, kafka_result);
        (redis_result, self.redis) = split(redis);
        (kafka_result, self.kafka) = split(kafka);
        let database = self.database.insert(database?);
        Ok(plan.shared_variables(&database.url, &redis_result?, &kafka_result?))
    }

    async fn start_node(&mut self, node: node::Starting) -> Result<()> {
        let node = node.start().await?;
        self.nodes.push(node);
        let node = self.nodes.last().context("it was pushed a line above")?;
        tokio::time::timeout(PATIENCE, node.ready())
            .await
            .map_err(|_| anyhow!("{} was not ready in {PATIENCE:?}", node.name()))?
    }

    /// Waits until any part has ended by itself, and says which.
    async fn failed(&self) -> anyhow::Error {
        let ended = self.nodes.iter().map(Node::child);
        let ended = ended.chain(self.redis.iter().map(Redis::child));
        let ended = ended.chain(self.kafka.iter().flat_map(Kafka::children));
        let mut watched = tokio::task::JoinSet::new();
        for child in ended {
            let (name, end) = (child.name().to_owned(), child.end());
            watched.spawn(async move {
                match end.await {
                    Ok(status) => anyhow!("{name} ended by itself ({status})"),
                    Err(error) => error,
                }
            });
        }
        let database = async {
            match &self.database {
                Some(database) => database.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(Ok(error)) = watched.join_next() => error,
            error = database => error,
        }
    }

    /// The api nodes first, then the engines, then what they stand on.
    async fn stop(&mut self) {
        while let Some(node) = self.nodes.pop() {
            node.stop().await;
        }
        if let Some(kafka) = self.kafka.take() {
            kafka.stop(Signal::TERM).await;
        }
        if let Some(redis) = self.redis.take() {
            redis.stop().await;
        }
        if let Some(database) = self.database.take() {
            database.stop().await;
        }
    }
}

fn split<T>(started: Result<(String, Option<T>)>) -> (Result<String>, Option<T>) {
    match started {
        Ok((address, server)) => (Ok(address), server),
        Err(error) => (Err(error), None),
    }
}
