//! The engine's settings.

use std::net::SocketAddr;

use clap::Args;

use super::address;

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
    /// Memory for the end of the log, from which history and resuming clients are served first, in bytes; half as much
    /// again while older rows are read
    #[arg(long, env = "MOYIZA_TAIL_BYTES", default_value_t = 67_108_864, value_parser = at_least_one)]
    pub tail_bytes: usize,
    /// Records that are written to PostgreSQL together at most
    #[arg(long, env = "MOYIZA_HISTORY_BATCH", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub history_batch: u32,
    /// How long records gather to be written to PostgreSQL together, in milliseconds
    #[arg(long, env = "MOYIZA_HISTORY_BATCH_MS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub history_batch_ms: u16,
    /// How often every open room is asked whether all changes of its positions have come here, in milliseconds
    #[arg(long, env = "MOYIZA_READING_CHECK_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(100..=600_000))]
    pub reading_check_ms: u32,
    /// How often it is written to PostgreSQL how far those have read who are reading, of each room in which something
    /// happened, in milliseconds: so much may be unread again when a lone engine, or a node and Redis, are killed
    #[arg(long, env = "MOYIZA_READING_JOURNAL_MS", default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(100..=3_600_000))]
    pub reading_journal_ms: u32,
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
