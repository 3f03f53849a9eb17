//! An engine as a process, kept running as an orchestrator would, and its ways to the servers.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use moyiza::servers::{
    child::{Child, Program},
    port,
    user::RunAs,
};
use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::{POLL, PREFIX};
use crate::{
    journal::Journal,
    proxy::{Mode, Proxy},
    schedule::Server,
};

/// How long an engine may take to end by SIGTERM.
const GRACE: Duration = Duration::from_secs(40);
/// Between an engine's end and its next start.
const RESTART_PAUSE: Duration = Duration::from_millis(300);

/// The ways from one engine to one server, or to each of several.
#[derive(Debug)]
pub(super) struct Link {
    mode: watch::Sender<Mode>,
    proxies: Vec<Proxy>,
}

impl Link {
    async fn new(servers: usize) -> Result<Self> {
        let (mode, received) = watch::channel(Mode::Pass);
        let mut proxies = Vec::new();
        for _ in 0..servers {
            proxies.push(Proxy::bind(received.clone()).await?);
        }
        Ok(Self { mode, proxies })
    }

    pub(super) fn ports(&self) -> Vec<u16> {
        self.proxies.iter().map(Proxy::port).collect()
    }

    pub(super) fn lead_to(&self, ports: &[u16]) {
        for (proxy, port) in self.proxies.iter().zip(ports) {
            proxy.lead_to(*port);
        }
    }

    fn addresses(&self) -> String {
        self.ports().iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }
}

/// All ways of one engine.
#[derive(Debug)]
pub struct Links {
    pub(super) kafka: Link,
    pub(super) redis: Link,
    pub(super) postgres: Link,
}

impl Links {
    pub(super) async fn new(brokers: usize) -> Result<Self> {
        let (kafka, redis, postgres) = (Link::new(brokers).await?, Link::new(1).await?, Link::new(1).await?);
        Ok(Self { kafka, redis, postgres })
    }
}

/// Whether an engine is to run, and if not, how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Up,
    Down(Signal),
}

/// One engine: its ways, its address, and its process while it has one. It is started again when it ends by itself.
#[derive(Debug)]
pub struct Engine {
    number: usize,
    addr: SocketAddr,
    links: Links,
    wanted: watch::Sender<Wanted>,
    process: watch::Receiver<Option<Arc<Child>>>,
    ended_by_itself: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    pub(super) fn new(
        number: usize,
        binary: PathBuf,
        links: Links,
        settings: &[String],
        journal: Arc<Journal>,
    ) -> Result<Self> {
        let [port] = port::free()?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let mut arguments: Vec<String> = [
            ("--engine-addr", addr.to_string()),
            ("--prefix", PREFIX.to_owned()),
            ("--database-url", format!("postgres://moyiza@{}/moyiza", links.postgres.addresses())),
            ("--database-connections", "8".to_owned()),
            ("--kafka-brokers", links.kafka.addresses()),
            ("--redis-url", format!("redis://{}", links.redis.addresses())),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        arguments.push("--development".to_owned());
        arguments.extend_from_slice(settings);
        let (wanted, orders) = watch::channel(Wanted::Down(Signal::KILL));
        let (running, process) = watch::channel(None);
        let ended_by_itself = Arc::new(Mutex::new(Vec::new()));
        let start = Start { number, binary, arguments, journal, ended_by_itself: ended_by_itself.clone() };
        tokio::spawn(start.keep_running(orders, running));
        Ok(Self { number, addr, links, wanted, process, ended_by_itself })
    }

    /// Where it listens, at every start.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From 0 on.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Whether it is to run; a killed one is not until its start.
    pub fn is_wanted(&self) -> bool {
        *self.wanted.borrow() == Wanted::Up
    }

    /// Starts it; [`ready`](Self::ready) waits for it.
    pub fn start(&self) {
        self.wanted.send_replace(Wanted::Up);
    }

    /// Ends it by SIGKILL, and returns when it is gone.
    pub async fn kill(&self) {
        self.end(Signal::KILL).await;
    }

    /// Ends it by SIGTERM, and returns when it is gone.
    pub async fn leave(&self) {
        self.end(Signal::TERM).await;
    }

    async fn end(&self, signal: Signal) {
        self.wanted.send_replace(Wanted::Down(signal));
        // Only at the program's end is nobody left to say so.
        let _ = self.process.clone().wait_for(Option::is_none).await;
    }

    /// SIGSTOP, if it runs.
    pub fn freeze(&self) {
        if let Some(process) = &*self.process.borrow() {
            process.freeze();
        }
    }

    /// SIGCONT, if it runs.
    pub fn thaw(&self) {
        if let Some(process) = &*self.process.borrow() {
            process.thaw();
        }
    }

    /// What its ways to a server do from now on.
    pub fn set(&self, server: Server, mode: Mode) {
        let link = match server {
            Server::Kafka => &self.links.kafka,
            Server::Redis => &self.links.redis,
            Server::Postgres => &self.links.postgres,
        };
        link.mode.send_replace(mode);
    }

    /// The same for all of them.
    pub fn set_all(&self, mode: Mode) {
        for server in [Server::Kafka, Server::Redis, Server::Postgres] {
            self.set(server, mode);
        }
    }

    /// Waits until it says that it has caught up with the log.
    pub async fn ready(&self) {
        while !self.is_ready().await.unwrap_or(false) {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether it says so now.
    pub async fn is_ready(&self) -> std::io::Result<bool> {
        Ok(self.ask("/readyz").await?.starts_with("HTTP/1.1 200"))
    }

    /// A metric, by its name and labels; 0 for one that is not there.
    pub async fn metric(&self, name: &str) -> std::io::Result<f64> {
        let metrics = self.ask("/metrics").await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0.0))
    }

    /// The answer to a GET.
    async fn ask(&self, path: &str) -> std::io::Result<String> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.addr).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        // It may be frozen.
        tokio::time::timeout(Duration::from_secs(5), exchange).await?
    }

    /// Why it ended when nobody wanted it to, or did not when somebody did, each time.
    pub fn ended_by_itself(&self) -> Vec<String> {
        self.ended_by_itself.lock().clone()
    }
}

/// What it takes to start an engine again and again.
struct Start {
    number: usize,
    binary: PathBuf,
    arguments: Vec<String>,
    journal: Arc<Journal>,
    ended_by_itself: Arc<Mutex<Vec<String>>>,
}

impl Start {
    /// Until the engine is dropped.
    async fn keep_running(
        self,
        mut wanted: watch::Receiver<Wanted>,
        running: watch::Sender<Option<Arc<Child>>>,
    ) {
        while wanted.wait_for(|wanted| *wanted == Wanted::Up).await.is_ok() {
            let process = match self.start().await {
                Ok(process) => Arc::new(process),
                Err(error) => {
                    self.journal.note(&format!("engine {} does not start: {error:#}", self.number + 1));
                    tokio::time::sleep(RESTART_PAUSE).await;
                    continue;
                }
            };
            running.send_replace(Some(process.clone()));
            let down = async {
                match wanted.wait_for(|wanted| *wanted != Wanted::Up).await.map(|wanted| *wanted) {
                    Ok(Wanted::Down(signal)) => signal,
                    Ok(Wanted::Up) | Err(_) => Signal::KILL,
                }
            };
            let signal = tokio::select! {
                signal = down => Some(signal),
                _ = process.wait() => None,
            };
            match signal {
                Some(signal) => self.end(&process, signal).await,
                None => self.note_end(),
            }
            running.send_replace(None);
            if signal.is_none() {
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        }
    }

    async fn start(&self) -> Result<Child> {
        let name = format!("engine {}", self.number + 1);
        let mut program =
            Program::new(&name, &self.binary, &RunAs::same(), Signal::KILL).in_own_process_group();
        let log = File::options().create(true).append(true).open(self.log())?;
        let command = program.command();
        // What this process was told of servers is not meant for it.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MOYIZA_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command.current_dir(self.journal.directory()).args(&self.arguments);
        command.stdout(log.try_clone()?).stderr(log);
        program.start().await
    }

    fn log(&self) -> PathBuf {
        self.journal.directory().join(format!("engine-{}.log", self.number + 1))
    }

    async fn end(&self, process: &Child, signal: Signal) {
        process.signal(signal);
        if tokio::time::timeout(GRACE, process.wait()).await.is_err() {
            self.note(format!("it did not end within {GRACE:?} of {signal:?}"));
            process.kill().await;
        }
    }

    fn note_end(&self) {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let reason = log.lines().rfind(|line| line.starts_with("error: ") || line.contains("panicked at"));
        self.note(reason.unwrap_or("it does not say why").to_owned());
    }

    fn note(&self, reason: String) {
        self.journal.note(&format!("engine {} did not end as it was told to: {reason}", self.number + 1));
        self.ended_by_itself.lock().push(reason);
    }
}
