//! The load that a run makes.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use crate::template::{HeaderTemplate, Template};

/// The load, and the broker it is for. Templates know `{room}`, `{conn}` (the connection's number), `{token}`,
/// `{seq}` (the message's number in its room) and `{text}`.
#[derive(Args, Clone, Debug)]
pub struct Scenario {
    /// Connections that subscribe, send and are checked.
    #[arg(long, default_value_t = 100)]
    pub connections: u32,
    /// Rooms. Connection i follows room i mod R.
    #[arg(long, default_value_t = 1)]
    pub rooms: u32,
    /// Bytes of each message's text.
    #[arg(long, default_value_t = 120)]
    pub size: usize,
    /// Messages on their way in each room at any time.
    #[arg(long, default_value_t = 1, conflicts_with = "rate")]
    pub in_flight: u32,
    /// Who must have a message before the room's next one is sent.
    #[arg(long, value_enum, default_value_t)]
    pub pace: Pace,
    /// Messages a second in all, whether or not earlier ones have come; delays count from when each was due.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Whose turn it is to send in a room.
    #[arg(long, value_enum, default_value_t)]
    pub senders: Senders,
    /// How long messages are sent and measured; 0 for none.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// How long messages are sent before that.
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub warm_up: Duration,
    /// How long to wait for the last messages.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub drain: Duration,
    /// Stay idle for so long when all are subscribed, and sample the server's memory.
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub hold: Duration,
    /// Further connections that subscribe and then never read.
    #[arg(long, default_value_t = 0)]
    pub slow: u32,
    /// Cycles of connect, subscribe, disconnect, made before the load while the server's memory is sampled.
    #[arg(long, default_value_t = 0)]
    pub churn: u32,

    /// Connects a second; 0: as fast as they go.
    #[arg(long, default_value_t = 0)]
    pub connect_rate: u32,
    /// Connections on the way to being subscribed at any time.
    #[arg(long, default_value_t = 200)]
    pub concurrent: u32,
    /// How long a connection may take until it is subscribed.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub connect_timeout: Duration,
    /// Connect from so many addresses, 127.0.0.2 and up: each has ports for some 28,000 connections.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=250))]
    pub sources: u8,
    /// Threads. A room belongs to one.
    #[arg(long, default_value_t = 1)]
    pub threads: u32,

    /// WebSocket sub-protocols to offer, as the header has them; "none" for no such header.
    #[arg(long, default_value = "v12.stomp")]
    pub sub_protocol: String,
    /// `accept-version` and the escaping of headers: 1.0, 1.1 or 1.2.
    #[arg(long, default_value = "1.2", value_parser = ["1.0", "1.1", "1.2"])]
    pub stomp_version: String,
    /// Heart-beats to promise and to ask for, in milliseconds.
    #[arg(long, default_value = "10000,10000", value_parser = heart_beat)]
    pub heart_beat: HeartBeat,
    /// The `host` header of CONNECT; the URL's host if absent.
    #[arg(long)]
    pub host: Option<String>,
    /// A header of the HTTP upgrade, `name:value`; may be repeated.
    #[arg(long = "http-header")]
    pub http_headers: Vec<HeaderTemplate>,
    /// A header of CONNECT, `name:value`; may be repeated.
    #[arg(long = "connect-header")]
    pub connect_headers: Vec<HeaderTemplate>,
    /// Where to subscribe.
    #[arg(long, default_value = "/topic/{room}")]
    pub subscribe: Template,
    /// A header of SUBSCRIBE, `name:value`; may be repeated.
    #[arg(long = "subscribe-header")]
    pub subscribe_headers: Vec<HeaderTemplate>,
    /// Where to send.
    #[arg(long, default_value = "/topic/{room}")]
    pub send: Template,
    /// A header of SEND, `name:value`; may be repeated.
    #[arg(long = "send-header", default_values = ["content-type:text/plain"])]
    pub send_headers: Vec<HeaderTemplate>,
    /// The body of SEND; must hold `{text}`.
    #[arg(long, default_value = "{text}")]
    pub body: Template,
    /// A file with a token a line; connection i has token i mod their number.
    #[arg(long)]
    pub tokens: Option<PathBuf>,
    /// A file with a room's name a line, in place of the numbers from 0.
    #[arg(long)]
    pub room_names: Option<PathBuf>,
    /// The broker has no RECEIPT for SUBSCRIBE and DISCONNECT: take a subscription for made when it is asked for.
    #[arg(long)]
    pub no_receipts: bool,
    /// How long to wait between the last subscription and the first message.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub settle: Duration,
}

/// The broker, and what of it can be looked at.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// Its address: ws://host:port/path; may be repeated for a broker of several nodes. The connections of each room
    /// are spread over them.
    #[arg(long = "url", required = true)]
    pub urls: Vec<String>,
    /// Its process, for memory and CPU; may be repeated.
    #[arg(long = "server-pid")]
    pub pids: Vec<u32>,
}

/// When a room's next message is sent, if a number of them is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Pace {
    /// When one has come to all of the room's subscribers: no more are ever on their way.
    #[default]
    All,
    /// When one has come back to its sender: a slow broker may have more on their way to others.
    Sender,
}

/// Who sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Senders {
    /// The room's connections, one after the other.
    #[default]
    Turns,
    /// One connection a room: what is in flight all comes from one, so its order is checked the hardest.
    One,
}

/// What `heart-beat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartBeat {
    /// We promise one in so many milliseconds; 0: none.
    pub sends: u64,
    /// We want one in so many milliseconds; 0: none.
    pub wants: u64,
}

impl HeartBeat {
    /// What both sides agree on, given the server's header: how often to send, how often to expect
    /// (STOMP 1.2 "Heart-beating"; zero on either side: none).
    pub fn agree(self, server: HeartBeat) -> (Option<Duration>, Option<Duration>) {
        let between = |promised: u64, wanted: u64| {
            (promised > 0 && wanted > 0).then(|| Duration::from_millis(promised.max(wanted)))
        };
        (between(self.sends, server.wants), between(server.sends, self.wants))
    }
}

/// Reads `sends,wants`.
pub fn heart_beat(text: &str) -> Result<HeartBeat, String> {
    let wrong = || format!("{text:?} is not two numbers of milliseconds with a comma between them");
    let (sends, wants) = text.split_once(',').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse().map_err(|_| wrong());
    Ok(HeartBeat { sends: number(sends)?, wants: number(wants)? })
}

/// Reads `500ms`, `10s`, `2m` or a plain number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("{text:?} is not a duration like 500ms, 10s or 2m")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

/// A ws:// address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// For the `Host` header: host and port.
    pub authority: String,
    /// With the leading slash.
    pub path: String,
}

impl Target {
    /// Reads and resolves it.
    pub fn resolve(url: &str) -> anyhow::Result<Self> {
        use std::net::ToSocketAddrs;

        use anyhow::Context;

        let rest = url.strip_prefix("ws://").with_context(|| format!("{url:?} does not begin with ws://"))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let port = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            ""
        } else {
            ":80"
        };
        let address = format!("{authority}{port}")
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {authority:?}"))?
            .min_by_key(SocketAddr::is_ipv6)
            .with_context(|| format!("{authority:?} has no address"))?;
        Ok(Self { address, authority: authority.to_owned(), path: path.to_owned() })
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        self.authority.rsplit_once(':').map_or(&*self.authority, |(host, _)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert!(duration("2 weeks").is_err());
        assert!(duration("s").is_err());
    }

    #[test]
    fn heart_beats_are_agreed_on_by_the_slower_side() {
        let ours = HeartBeat { sends: 10_000, wants: 5_000 };
        let theirs = HeartBeat { sends: 8_000, wants: 20_000 };
        let (send, expect) = ours.agree(theirs);
        assert_eq!((send, expect), (Some(Duration::from_secs(20)), Some(Duration::from_secs(8))));
        assert_eq!(ours.agree(HeartBeat { sends: 0, wants: 0 }), (None, None));
        assert!(heart_beat("1").is_err());
    }

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::resolve("ws://127.0.0.1:8081/ws").unwrap();
        assert_eq!((target.address.port(), &*target.path, target.host()), (8_081, "/ws", "127.0.0.1"));
        assert_eq!(Target::resolve("ws://127.0.0.1").unwrap().address.port(), 80);
        assert!(Target::resolve("wss://127.0.0.1/").is_err());
    }
}
