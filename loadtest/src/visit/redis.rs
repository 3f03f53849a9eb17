//! What Redis says of itself.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

/// A connection.
pub(super) struct Redis(BufStream<TcpStream>);

/// What it has done until a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// Commands, by name: those of clients, and those that functions give in turn.
    pub(super) calls: BTreeMap<String, u64>,
    pub(super) cpu_s: f64,
}

impl Redis {
    pub(super) async fn connect(addr: SocketAddr) -> std::io::Result<Self> {
        Ok(Self(BufStream::new(TcpStream::connect(addr).await?)))
    }

    async fn info(&mut self, section: &str) -> anyhow::Result<String> {
        // An inline command, as one types it.
        self.0.write_all(format!("INFO {section}\r\n").as_bytes()).await?;
        self.0.flush().await?;
        let mut length = String::new();
        self.0.read_line(&mut length).await?;
        let bytes = length.trim_end().strip_prefix('$').and_then(|length| length.parse().ok());
        let bytes: usize = bytes.with_context(|| format!("Redis answers {length:?}"))?;
        let mut text = vec![0; bytes + 2];
        self.0.read_exact(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    pub(super) async fn usage(&mut self) -> anyhow::Result<Usage> {
        let commands = self.info("commandstats").await?;
        let calls = commands.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        let calls = calls.collect();
        let cpu = self.info("cpu").await?;
        let seconds = |name: &str| {
            let line = cpu.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
        };
        Ok(Usage { calls, cpu_s: seconds("used_cpu_user") + seconds("used_cpu_sys") })
    }
}
