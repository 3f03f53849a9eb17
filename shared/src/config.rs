//! Settings. Each comes, in this order, from the command line, the environment, `moyiza.toml`, its default.
//!
//! The settings of both services are here because one environment and one `moyiza.toml` serve them all: a
//! name that none of them knows is an error in each of them.

use std::{collections::BTreeSet, ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};

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

/// The engine's own settings.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Engine settings")]
pub struct EngineSettings {
    /// Where the engine listens for WebSocket and HTTP
    #[arg(long, env = "MOYIZA_ENGINE_ADDR", default_value = "127.0.0.1:8081", value_parser = address)]
    pub engine_addr: SocketAddr,
    /// Web pages that may open a WebSocket, as `scheme://host:port,…`; `*` for any [default: localhost,
    /// 127.0.0.1 and `[::1]` on port 8080, or where the launcher put the api]
    #[arg(long, env = "MOYIZA_ORIGINS", value_delimiter = ',', value_parser = origin)]
    pub origins: Vec<String>,
    /// Partitions of the chat log; a change needs a new epoch
    #[arg(long, env = "MOYIZA_LOG_PARTITIONS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub log_partitions: u16,
    /// How long the log gathers records into one request, in milliseconds; 0 sends at once, and gathers what comes
    /// while a request is under way
    #[arg(long, env = "MOYIZA_LOG_LINGER_MS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub log_linger_ms: u16,
    /// How long a SEND waits for a log that does not answer before it is refused, in milliseconds
    #[arg(long, env = "MOYIZA_LOG_TIMEOUT_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=300_000))]
    pub log_timeout_ms: u32,
    /// Memory for the end of the log, from which history and resuming clients are served first, in bytes
    #[arg(long, env = "MOYIZA_TAIL_BYTES", default_value_t = 67_108_864, value_parser = at_least_one)]
    pub tail_bytes: usize,
    /// Records that are written to PostgreSQL together at most
    #[arg(long, env = "MOYIZA_HISTORY_BATCH", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub history_batch: u32,
    /// How long records gather to be written to PostgreSQL together, in milliseconds
    #[arg(long, env = "MOYIZA_HISTORY_BATCH_MS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub history_batch_ms: u16,
    /// Plain pub/sub for every client at `/topic/…`
    #[arg(long, env = "MOYIZA_TOPICS", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub topics: bool,
    /// The heart-beats that the engine sends and wants, in milliseconds, as STOMP's header has them; 0,0 for none
    #[arg(long, env = "MOYIZA_HEART_BEAT_MS", default_value = "10000,10000", value_parser = heart_beat)]
    pub heart_beat_ms: (u32, u32),
    /// Compresses messages for clients that offer permessage-deflate
    #[arg(long, env = "MOYIZA_COMPRESSION", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub compression: bool,
    /// The shortest frame that is worth compressing, in bytes
    #[arg(long, env = "MOYIZA_COMPRESS_FROM_BYTES", default_value_t = 1_024)]
    pub compress_from_bytes: usize,
    /// What clients may do
    #[command(flatten)]
    pub limits: EngineLimits,
}

/// What the engine allows its clients.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Engine limits")]
pub struct EngineLimits {
    /// Connections at a time [default: as many as the process may open files, less 256]
    #[arg(long, env = "MOYIZA_MAX_CONNECTIONS", value_parser = at_least_one)]
    pub max_connections: Option<usize>,
    /// Connections of one account at a time; 0 for no limit [default: 100; none in development mode]
    #[arg(long, env = "MOYIZA_MAX_CONNECTIONS_PER_USER")]
    pub max_connections_per_user: Option<usize>,
    /// Connections from one IP address at a time; 0 for no limit, as it has to be behind a proxy
    #[arg(long, env = "MOYIZA_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 0)]
    pub max_connections_per_address: usize,
    /// How long a client may take for its HTTP request, in milliseconds
    #[arg(long, env = "MOYIZA_HANDSHAKE_TIMEOUT_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub handshake_timeout_ms: u64,
    /// The longest HTTP request head accepted, in bytes; at least 8,192
    #[arg(long, env = "MOYIZA_MAX_HANDSHAKE_BYTES", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(8_192..))]
    pub max_handshake_bytes: u32,
    /// How long a WebSocket may take to send its CONNECT, in milliseconds
    #[arg(long, env = "MOYIZA_CONNECT_TIMEOUT_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub connect_timeout_ms: u64,
    /// How long a STOMP frame may take from its first byte to its last, in milliseconds
    #[arg(long, env = "MOYIZA_FRAME_TIMEOUT_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub frame_timeout_ms: u64,
    /// The longest WebSocket message accepted, in bytes after decompression; it may hold many frames
    #[arg(long, env = "MOYIZA_MAX_MESSAGE_BYTES", default_value_t = 16_777_216, value_parser = at_least_one)]
    pub max_message_bytes: usize,
    /// The longest STOMP frame accepted, in bytes
    #[arg(long, env = "MOYIZA_MAX_FRAME_BYTES", default_value_t = 2_097_152, value_parser = at_least_one)]
    pub max_frame_bytes: usize,
    /// The longest command with all headers of a STOMP frame, in bytes
    #[arg(long, env = "MOYIZA_MAX_HEADER_BYTES", default_value_t = 8_192, value_parser = at_least_one)]
    pub max_header_bytes: usize,
    /// Headers of one STOMP frame
    #[arg(long, env = "MOYIZA_MAX_HEADERS", default_value_t = 64, value_parser = at_least_one)]
    pub max_headers: usize,
    /// The longest chat message accepted, in bytes of its content
    #[arg(long, env = "MOYIZA_MAX_CONTENT_BYTES", default_value_t = 8_192, value_parser = at_least_one)]
    pub max_content_bytes: usize,
    /// Subscriptions that one connection may hold
    #[arg(long, env = "MOYIZA_MAX_SUBSCRIPTIONS", default_value_t = 256, value_parser = at_least_one)]
    pub max_subscriptions: usize,
    /// Messages of one subscription that may wait for ACK
    #[arg(long, env = "MOYIZA_MAX_UNACKNOWLEDGED", default_value_t = 10_000, value_parser = at_least_one)]
    pub max_unacknowledged: usize,
    /// Transactions that one connection may have open
    #[arg(long, env = "MOYIZA_MAX_TRANSACTIONS", default_value_t = 16, value_parser = at_least_one)]
    pub max_transactions: usize,
    /// Frames that one connection's transactions may hold
    #[arg(long, env = "MOYIZA_MAX_TRANSACTION_FRAMES", default_value_t = 1_024, value_parser = at_least_one)]
    pub max_transaction_frames: usize,
    /// Bytes that one connection's transactions may hold
    #[arg(long, env = "MOYIZA_MAX_TRANSACTION_BYTES", default_value_t = 1_048_576, value_parser = at_least_one)]
    pub max_transaction_bytes: usize,
    /// SEND and SUBSCRIBE frames that one connection may send a second, over time
    #[arg(long, env = "MOYIZA_MAX_SENDS_PER_SECOND", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_sends_per_second: u32,
    /// SEND and SUBSCRIBE frames that one connection may send at once
    #[arg(long, env = "MOYIZA_MAX_SEND_BURST", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_send_burst: u32,
    /// Records that a resuming subscription may have missed; one that missed more starts afresh
    #[arg(long, env = "MOYIZA_MAX_REPLAY", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub max_replay: u16,
    /// Bytes that may wait for one connection; one that is slower is closed
    #[arg(long, env = "MOYIZA_MAX_QUEUED_BYTES", default_value_t = 1_048_576, value_parser = at_least_one)]
    pub max_queued_bytes: usize,
}

fn origin(text: &str) -> Result<String, String> {
    if text == "*"
        || text.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty())
    {
        return Ok(text.to_owned());
    }
    Err("expected scheme://host:port, as in https://moyiza.example, or *".to_owned())
}

fn heart_beat(text: &str) -> Result<(u32, u32), String> {
    let numbers = text
        .split_once(',')
        .and_then(|(send, want)| Some((send.trim().parse().ok()?, want.trim().parse().ok()?)));
    numbers.ok_or_else(|| "expected two numbers of milliseconds, as in 10000,10000".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number from 1 on".to_owned())
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

/// Everything there is to set, to know every name.
#[derive(Parser)]
struct Everything {
    #[command(flatten)]
    _common: CommonSettings,
    #[command(flatten)]
    _api: ApiSettings,
    #[command(flatten)]
    _engine: EngineSettings,
    #[command(flatten)]
    _launcher: LauncherSettings,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable that begins with `MOYIZA_` and means nothing.
    #[error("unknown setting {0} in the environment (see --help)")]
    UnknownVariable(String),
    /// A key of the file that means nothing.
    #[error("unknown setting `{key}` in {file} (see --help)")]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
    },
    /// The file is not TOML, or a value has no place there.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The command line, or a value; clap's text names it.
    #[error("{0}")]
    Arguments(#[from] clap::Error),
}

/// The file read where the process starts, if it is there.
const FILE: &str = "moyiza.toml";

/// Parses this process's settings, or ends the process with one clear line (`--help` and `--version` too).
pub fn parse_or_exit<P: CommandFactory + FromArgMatches>() -> P {
    parse(std::env::args_os().collect(), FILE.into()).unwrap_or_else(|error| match error {
        ConfigError::Arguments(error) => error.exit(),
        error => {
            eprintln!("error: {error}");
            std::process::exit(2)
        }
    })
}

/// Parses settings from `arguments` (the first is the program's name), the environment and `file`.
pub fn parse<P: CommandFactory + FromArgMatches>(
    mut arguments: Vec<OsString>,
    file: PathBuf,
) -> Result<P, ConfigError> {
    let known = variables(&Everything::command());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("MOYIZA_") && !name.starts_with("MOYIZA_TEST_") && !known.contains(&*name) {
            return Err(ConfigError::UnknownVariable(name.into_owned()));
        }
    }
    let command = P::command().args_override_self(true);
    // A subcommand has its own settings, and they stand behind its name.
    let (mut innermost, mut place) = (&command, 1.min(arguments.len()));
    while let Some(subcommand) = arguments.get(place).and_then(|name| innermost.find_subcommand(name)) {
        (innermost, place) = (subcommand, place + 1);
    }
    let from_file = match std::fs::read_to_string(&file) {
        Ok(text) => file_arguments(&text, file, innermost)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(ConfigError::File { file, reason: error.to_string() }),
    };
    arguments.splice(place..place, from_file);
    Ok(P::from_arg_matches(&command.try_get_matches_from(arguments)?)?)
}

/// The file's settings as arguments that come before the real ones, which override them. What the
/// environment sets is left out: it overrides the file too.
fn file_arguments(text: &str, file: PathBuf, command: &Command) -> Result<Vec<OsString>, ConfigError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::File {
        file: file.clone(),
        reason: error.to_string(),
    })?;
    let everything = Everything::command();
    let mut arguments = Vec::new();
    for (key, value) in table {
        let is_named = |argument: &&clap::Arg| argument.get_id() == key.as_str();
        let Some(argument) = everything.get_arguments().find(is_named) else {
            return Err(ConfigError::UnknownKey { file, key });
        };
        let of_this_process = command.get_arguments().any(|argument| is_named(&argument));
        let in_environment = argument.get_env().is_some_and(|name| std::env::var_os(name).is_some());
        if !of_this_process || in_environment {
            continue;
        }
        let wrong = |reason: String| ConfigError::File { file: file.clone(), reason };
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
                texts
                    .ok_or_else(|| wrong(format!("`{key}` is a list of something else than texts")))?
                    .join(",")
            }
            other => return Err(wrong(format!("`{key}` cannot be a {}", other.type_str()))),
        };
        arguments.push(format!("--{}={value}", key.replace('_', "-")).into());
    }
    Ok(arguments)
}

fn variables(command: &Command) -> BTreeSet<String> {
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[derive(Debug, Parser)]
    struct Engine {
        #[command(flatten)]
        engine: EngineSettings,
    }

    fn parse_with(file: &str, arguments: &[&str]) -> Result<Engine, ConfigError> {
        let mut settings = tempfile::NamedTempFile::new().unwrap();
        settings.write_all(file.as_bytes()).unwrap();
        let arguments = ["engine"].iter().chain(arguments).map(OsString::from).collect();
        parse(arguments, settings.path().into())
    }

    #[test]
    fn the_command_line_overrides_the_file_and_the_file_the_default() {
        let file = "log_partitions = 3\nmax_frame_bytes = 9\norigins = [\"http://a\", \"http://b\"]";
        let Engine { engine } = parse_with(file, &["--max-frame-bytes", "7"]).unwrap();
        assert_eq!(
            (engine.log_partitions, engine.limits.max_frame_bytes, engine.limits.max_subscriptions),
            (3, 7, 256)
        );
        assert_eq!(engine.origins, ["http://a", "http://b"]);
    }

    #[test]
    fn the_file_is_for_a_subcommand_of_a_subcommand_too() {
        #[derive(Debug, Parser)]
        enum Outer {
            #[command(subcommand)]
            Log(Inner),
        }
        #[derive(Debug, clap::Subcommand)]
        enum Inner {
            Look(Box<Engine>),
        }
        let mut settings = tempfile::NamedTempFile::new().unwrap();
        settings.write_all(b"log_partitions = 3").unwrap();
        let arguments = ["moyiza", "log", "look"].iter().map(OsString::from).collect();
        let Outer::Log(Inner::Look(look)) = parse(arguments, settings.path().into()).unwrap();
        assert_eq!(look.engine.log_partitions, 3);
    }

    #[test]
    fn a_setting_of_another_service_is_no_error() {
        assert!(parse_with("api_addr = \"127.0.0.1:1\"", &[]).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (file, named) in [
            ("api_adr = 1", "unknown setting `api_adr`"),
            ("log_partitions = 0", "--log-partitions"),
            ("engine_addr = \"here\"", "expected an IP address and a port"),
            ("max_frame_bytes = 0", "expected a number from 1 on"),
            ("origins = [\"here\"]", "expected scheme://host:port"),
            ("origins = [1]", "`origins` is a list of something else than texts"),
            ("origins = { a = 1 }", "`origins` cannot be a table"),
            ("origins = ", "TOML parse error"),
        ] {
            let error = parse_with(file, &[]).unwrap_err().to_string();
            assert!(error.contains(named), "{file}: {error}");
        }
    }
}
