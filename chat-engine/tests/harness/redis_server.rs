//! A Redis of a test's own, to be emptied, restarted, stopped and replaced.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
};

use shared::testing::{self, PATIENCE};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::questions;

/// A server on 127.0.0.1. It ends with this, and its data are removed.
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    directory: PathBuf,
    options: Vec<String>,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these settings besides.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        // Before there is anything that would be left behind without it.
        testing::server("MOYIZA_TEST_REDIS_SERVER");
        let directory = std::env::temp_dir().join(testing::unique("moyiza-redis"));
        std::fs::create_dir(&directory).unwrap();
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        loop {
            let port = free_port();
            let process = launch(&directory, port, &options);
            let mut server = Self { process, port, directory: directory.clone(), options: options.clone() };
            if server.is_ready().await {
                return server;
            }
            // Somebody else took the port: the directory stays for the next try.
            server.directory = PathBuf::new();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.authority())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it says to a command, which is a line of words.
    pub(crate) async fn ask(&self, command: &str) -> String {
        let answer = questions::ask(&self.authority(), command).await;
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    }

    /// Waits until the answer to a question about keys has this in it.
    pub(crate) async fn ask_until(&self, question: &str, there: &str) {
        questions::answer_becomes(&self.authority(), question, |answer| answer.contains(there)).await;
    }

    /// Waits until what it says of itself has this in it.
    pub(crate) async fn report_until(&self, question: &str, there: &str) {
        let what = format!("{there} in {question}");
        testing::becomes(&what, async || self.ask(question).await, |answer| answer.contains(there)).await;
    }

    /// Writes what it has to its file, as of now.
    pub(crate) async fn save(&self) {
        self.ask("SAVE").await;
    }

    /// SIGKILL, and started again on the same port with what was saved last.
    pub(crate) async fn restart(&mut self) {
        self.process.kill().await.unwrap();
        self.process = launch(&self.directory, self.port, &self.options);
        assert!(self.is_ready().await, "it starts again");
    }

    /// The same without anything.
    pub(crate) async fn restart_empty(&mut self) {
        self.process.kill().await.unwrap();
        let _ = std::fs::remove_file(self.directory.join("dump.rdb"));
        self.restart().await;
    }

    /// SIGSTOP: alive for the system, silent for everybody else.
    pub(crate) async fn freeze(&self) {
        signal(&self.process, "STOP").await;
    }

    /// SIGCONT.
    pub(crate) async fn thaw(&self) {
        signal(&self.process, "CONT").await;
    }

    /// Waits until it says that it is ready; false if it ended instead. What it says after that goes nowhere.
    async fn is_ready(&mut self) -> bool {
        let mut lines = BufReader::new(self.process.stdout.take().expect("nobody has read it yet")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("Ready to accept connections") {
                    return true;
                }
            }
            false
        };
        timeout(PATIENCE, ready).await.expect("Redis starts")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        if !self.directory.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Three servers that share the slots of one Redis Cluster.
pub(crate) struct RedisCluster {
    pub(crate) servers: Vec<RedisServer>,
}

impl RedisCluster {
    pub(crate) async fn start() -> Self {
        let mut servers = Vec::new();
        for slots in ["0 5460", "5461 10922", "10923 16383"] {
            let bus = free_port().to_string();
            let options =
                ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "5000"];
            let server = RedisServer::start_with(&options).await;
            server.ask(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
            servers.push((server, bus));
        }
        let first = &servers[0];
        for (number, (server, _)) in (1..).zip(&servers) {
            server.ask(&format!("CLUSTER SET-CONFIG-EPOCH {number}")).await;
            server.ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", first.0.port, first.1)).await;
        }
        for (server, _) in &servers {
            server.report_until("CLUSTER INFO", "cluster_known_nodes:3").await;
            server.report_until("CLUSTER INFO", "cluster_state:ok").await;
        }
        Self { servers: servers.into_iter().map(|(server, _)| server).collect() }
    }

    pub(crate) fn url(&self) -> String {
        let [first, others @ ..] = &*self.servers else { panic!("there are three") };
        let others = others.iter().map(|server| format!("node=127.0.0.1:{}", server.port));
        let others: Vec<_> = others.collect();
        format!("redis-cluster://127.0.0.1:{}?{}", first.port, others.join("&"))
    }
}

/// Sends a process a signal, by its name.
pub(crate) async fn signal(process: &Child, signal: &str) {
    let id = process.id().expect("it runs").to_string();
    let status = Command::new("kill").args(["-s", signal, &id]).status().await.unwrap();
    assert!(status.success());
}

fn launch(directory: &PathBuf, port: u16, options: &[String]) -> Child {
    let mut command = Command::new(testing::server("MOYIZA_TEST_REDIS_SERVER"));
    if let Ok(libraries) = std::env::var("MOYIZA_TEST_REDIS_LIBRARIES") {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(options).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped());
    command.kill_on_drop(true).spawn().expect("Redis starts")
}

/// A port outside the range of outgoing connections: a client that keeps trying to reach a server that is down would
/// in the end be connected to itself, and keep the server from coming back.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
