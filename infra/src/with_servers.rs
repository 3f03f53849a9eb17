//! `moyiza with-servers`: throw-away servers for as long as a command runs.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, Result};
use clap::Args;
use rustix::process::Signal;
use shared::config::LauncherSettings;

use crate::{
    servers::{
        Kafka, Postgres, Redis, Scratch, Store,
        child::{Child, Program},
        postgres::Keep,
        user::RunAs,
    },
    stop::StopSignals,
};

/// Which servers, and what for.
#[derive(Clone, Debug, Args)]
pub struct WithServers {
    #[command(flatten)]
    launcher: LauncherSettings,
    /// Without PostgreSQL
    #[arg(long)]
    no_postgres: bool,
    /// Without Redis
    #[arg(long)]
    no_redis: bool,
    /// Without Kafka, and so without Java
    #[arg(long)]
    no_kafka: bool,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Starts the servers, runs the command with `MOYIZA_TEST_DATABASE_URL`, `MOYIZA_TEST_REDIS_URL` and
/// `MOYIZA_TEST_KAFKA_BROKERS` set, stops the servers and returns the command's exit code. Tests that need a Redis of
/// their own, to break it, find the program in `MOYIZA_TEST_REDIS_SERVER`, and in `MOYIZA_TEST_REDIS_LIBRARIES` what it
/// needs besides, if anything.
pub async fn run(options: WithServers) -> Result<u8> {
    let mut signals = StopSignals::new()?;
    let store = Store::new(&options.launcher.servers_dir)?;
    let scratch = Scratch::new(&store).await?;
    let servers = tokio::select! {
        servers = Servers::start(&store, scratch.path(), &options) => servers?,
        signal = signals.next() => return Ok(exit_code_of(signal)),
    };
    let status = run_command(&options.command, &servers, &mut signals).await;
    servers.stop().await;
    let status = status?;
    Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).map_or(1, exit_code))
}

/// What a shell makes of a process that ended by `signal`.
fn exit_code_of(signal: Signal) -> u8 {
    exit_code(128 + signal.as_raw())
}

fn exit_code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

async fn run_command(
    command: &[OsString],
    servers: &Servers,
    signals: &mut StopSignals,
) -> Result<ExitStatus> {
    let (name, arguments) = command.split_first().context("no command")?;
    let mut program = Program::new(&name.to_string_lossy(), name, &RunAs::same(), Signal::TERM);
    program.command().args(arguments).envs(servers.variables()).stdin(Stdio::inherit());
    let child: Child = program.start().await?;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            // The servers stay until the command has come to its end.
            signal = signals.next() => child.signal(signal),
        }
    }
}

#[derive(Debug)]
struct Servers {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    kafka: Option<Kafka>,
}

impl Servers {
    async fn start(store: &Store, directory: &Path, options: &WithServers) -> Result<Self> {
        let postgres = async {
            let wanted = !options.no_postgres;
            let start = wanted.then(|| Postgres::start(store, directory, Keep::Scratch));
            Ok::<_, anyhow::Error>(match start {
                Some(start) => Some(start.await?),
                None => None,
            })
        };
        let redis = async {
            let start = (!options.no_redis).then(|| Redis::start(store, directory, false));
            Ok(match start {
                Some(start) => Some(start.await?),
                None => None,
            })
        };
        let kafka = async {
            let start =
                (!options.no_kafka).then(|| Kafka::start(store, directory, options.launcher.kafka_nodes));
            Ok(match start {
                Some(start) => Some(start.await?),
                None => None,
            })
        };
        let (postgres, redis, kafka) = tokio::try_join!(postgres, redis, kafka)?;
        Ok(Self { postgres, redis, kafka })
    }

    fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let postgres = self.postgres.as_ref().map(|postgres| postgres.url("postgres"));
        let redis = self.redis.as_ref().map(Redis::url);
        let kafka = self.kafka.as_ref().map(Kafka::bootstrap);
        let program = self.redis.as_ref().map(Redis::program);
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let values = [
            ("MOYIZA_TEST_DATABASE_URL", postgres),
            ("MOYIZA_TEST_REDIS_URL", redis),
            ("MOYIZA_TEST_REDIS_SERVER", program.map(|(server, _)| path(server))),
            ("MOYIZA_TEST_REDIS_LIBRARIES", program.and_then(|(_, libraries)| libraries).map(path)),
            ("MOYIZA_TEST_KAFKA_BROKERS", kafka),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    async fn stop(self) {
        let postgres = async {
            if let Some(postgres) = self.postgres {
                postgres.stop().await;
            }
        };
        let redis = async {
            if let Some(redis) = self.redis {
                redis.stop().await;
            }
        };
        let kafka = async {
            if let Some(kafka) = self.kafka {
                kafka.stop(Signal::KILL).await;
            }
        };
        tokio::join!(postgres, redis, kafka);
    }
}
