//! Settings. Each comes, in this order, from the command line, the environment, `moyiza.toml`, its default.
//!
//! The settings of both services are here because one environment and one `moyiza.toml` serve them all: a
//! name that none of them knows is an error in each of them.

mod engine;
mod read;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
pub use engine::{EngineLimits, EngineSettings};
pub use read::{ConfigError, parse, parse_or_exit};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors.
    Json,
}

/// What every process needs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common settings")]
pub struct CommonSettings {
    /// PostgreSQL, as `postgres://user:password@host:port/database`
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Connections to PostgreSQL that one process opens at most
    #[arg(long, env = "MOYIZA_DATABASE_CONNECTIONS", default_value_t = 16)]
    pub database_connections: u32,
    /// Kafka brokers, as `host:port,host:port` (what runs alone needs them; `moyiza run` does without)
    #[arg(long, env = "MOYIZA_KAFKA_BROKERS")]
    pub kafka_brokers: Option<String>,
    /// Redis, as `redis://host:port` (an engine that runs alone needs it; `moyiza run` does without)
    #[arg(long, env = "MOYIZA_REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// Begins the name of every Kafka topic and consumer group and every Redis key, to keep installations apart
    #[arg(long, env = "MOYIZA_PREFIX", default_value = "")]
    pub prefix: String,
    /// Development mode: mail goes to `/dev/mailbox`, `moyiza seed` works, the engine has `/echo`
    #[arg(long, env = "MOYIZA_DEVELOPMENT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub development: bool,
    /// What is logged, as in `info,chat_engine=debug` (`RUST_LOG` overrides it)
    #[arg(
        long,
        env = "MOYIZA_LOG",
        default_value = "info,sqlx=warn,sqlx::postgres::notice=error,actix_server=warn"
    )]
    pub log: String,
    /// How log lines look
    #[arg(long, env = "MOYIZA_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// The api's own settings.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Api settings")]
pub struct ApiSettings {
    /// Where the api and the web page listen
    #[arg(long, env = "MOYIZA_API_ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    pub api_addr: SocketAddr,
    /// The engine's WebSocket as browsers reach it [default: port 8081 on the host of the page]
    #[arg(long, env = "MOYIZA_ENGINE_URL")]
    pub engine_url: Option<String>,
    /// Sets `Secure` on the refresh cookie; needed wherever the page is served over https
    #[arg(long, env = "MOYIZA_SECURE_COOKIES", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub secure_cookies: bool,
    /// How long a refresh token lives, in days
    #[arg(long, env = "MOYIZA_REFRESH_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=365))]
    pub refresh_days: u16,
}

/// The launcher's own settings.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Launcher settings")]
pub struct LauncherSettings {
    /// The instance: its data, its PostgreSQL
    #[arg(long, env = "MOYIZA_DIR", default_value = ".moyiza")]
    pub dir: PathBuf,
    /// Where fetched servers are kept
    #[arg(long, env = "MOYIZA_SERVERS_DIR", default_value = ".servers")]
    pub servers_dir: PathBuf,
    /// Kafka brokers that `moyiza cluster` and `moyiza with-servers` start, 1 or 3, the same at every start of an
    /// instance; 3 keep every record three times
    #[arg(long, env = "MOYIZA_KAFKA_NODES", default_value_t = 1, value_parser = kafka_nodes)]
    pub kafka_nodes: u8,
}

fn kafka_nodes(text: &str) -> Result<u8, String> {
    text.parse().ok().filter(|nodes| matches!(nodes, 1 | 3)).ok_or_else(|| "expected 1 or 3".to_owned())
}

/// An address to listen on; `localhost` is a name for 127.0.0.1.
fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.replacen("localhost:", "127.0.0.1:", 1);
    numeric.parse().map_err(|_| "expected an IP address and a port, as in 127.0.0.1:8080".to_owned())
}
