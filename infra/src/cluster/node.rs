//! One process of the cluster.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::Stdio,
    time::Duration,
};

use anyhow::{Result, bail};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Plan;
use crate::servers::{
    child::{Child, Program},
    user::RunAs,
};

/// A node before its start.
pub(super) struct Starting {
    name: String,
    addr: SocketAddr,
    program: Program,
}

/// A running node.
#[derive(Debug)]
pub(super) struct Node {
    child: Child,
    addr: SocketAddr,
}

impl Node {
    /// An engine that listens on `addr`.
    pub(super) fn engine(plan: &Plan, addr: SocketAddr) -> Starting {
        Starting::new(plan, "chat-engine", addr)
            .variable("MOYIZA_ENGINE_ADDR", &addr.to_string())
            .variable("MOYIZA_API_ADDR", &plan.apis[0].to_string())
    }

    /// An api that listens on `addr`.
    pub(super) fn api(plan: &Plan, addr: SocketAddr) -> Starting {
        Starting::new(plan, "api", addr).variable("MOYIZA_API_ADDR", &addr.to_string())
    }

    /// As in logs and messages.
    pub(super) fn name(&self) -> &str {
        self.child.name()
    }

    /// The process.
    pub(super) const fn child(&self) -> &Child {
        &self.child
    }

    /// Waits until it says that it is ready; an error if it ends before that.
    pub(super) async fn ready(&self) -> Result<()> {
        let poll = async {
            while !is_ready(self.addr).await.unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = poll => Ok(()),
            status = self.child.wait() => bail!("{} ended at start-up ({})", self.name(), status?),
        }
    }

    /// Drains and stops it.
    pub(super) async fn stop(self) {
        self.child.stop(Signal::TERM, Duration::from_secs(15)).await;
    }
}

impl Starting {
    fn new(plan: &Plan, binary: &str, addr: SocketAddr) -> Self {
        let name = format!("{binary} {}", addr.port());
        let program = Program::new(&name, plan.binaries.join(binary), &RunAs::same(), Signal::TERM);
        let mut program = program.in_own_process_group();
        let command = program.command();
        command.envs(plan.run.given.variables.iter().cloned());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { name, addr, program }
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.program.command().env(name, value);
        self
    }

    pub(super) fn variables(mut self, variables: &[(String, String)]) -> Self {
        self.program.command().envs(variables.iter().map(|(name, value)| (name, value)));
        self
    }

    pub(super) async fn start(self) -> Result<Node> {
        let mut child = self.program.start().await?;
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for pipe in pipes.into_iter().flatten() {
            forward(self.name.clone(), pipe)?;
        }
        Ok(Node { child, addr: self.addr })
    }
}

/// Passes what a node prints on to standard error, with its name before each line.
fn forward(name: String, pipe: impl Read + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(format!("log-{name}")).spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            eprintln!("{name} | {line}");
        }
    })?;
    Ok(())
}

/// One `GET /readyz`.
async fn is_ready(addr: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status == *b"HTTP/1.1 200")
}
