//! A way to Redis on which answers are lost, and calls come late.

use std::{net::Ipv4Addr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::client::PATIENCE;

/// What becomes of what is said on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    /// The server hears everything and is not heard.
    Deaf,
    /// What the client says is kept, and the server is not heard.
    Hold,
}

/// A connection through it.
struct Line {
    mode: watch::Sender<Mode>,
    /// Ends the client's side.
    cut: watch::Sender<bool>,
    /// What the client said while it was held.
    kept: watch::Sender<Vec<u8>>,
    /// Lets the server have that.
    release: watch::Sender<bool>,
    /// The server's side has ended, too.
    over: watch::Sender<bool>,
}

/// A TCP proxy in front of a Redis. It ends with this.
pub(super) struct Way {
    port: u16,
    server: Arc<Mutex<u16>>,
    lines: Arc<Mutex<Vec<Arc<Line>>>>,
    _tasks: JoinSet<()>,
}

impl Way {
    /// To the server on this port.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (server, lines) = (Arc::new(Mutex::new(port)), Arc::new(Mutex::new(Vec::new())));
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server.clone(), lines.clone()));
        Self { port, server, lines, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// New connections lead to another server.
    pub(super) fn lead_to(&self, port: u16) {
        *self.server.lock() = port;
    }

    /// From now on nobody hears what the server says on the connections that there are.
    pub(super) fn lose_answers(&self) {
        self.set(Mode::Deaf);
    }

    /// From now on what clients say on the connections that there are is kept from the server.
    pub(super) fn hold(&self) {
        self.set(Mode::Hold);
    }

    fn set(&self, mode: Mode) {
        for line in self.lines.lock().iter() {
            line.mode.send_replace(mode);
        }
    }

    /// Waits until this is among what is kept.
    pub(super) async fn keeps(&self, words: &[u8]) {
        let lines = self.lines.lock().clone();
        let keeps = lines.iter().map(|line| {
            let mut kept = line.kept.subscribe();
            Box::pin(async move {
                let there = |kept: &Vec<u8>| kept.windows(words.len()).any(|part| part == words);
                drop(kept.wait_for(there).await.unwrap());
            })
        });
        let kept = futures_util::future::select_all(keeps);
        tokio::time::timeout(PATIENCE, kept).await.expect("it is said");
    }

    /// Ends the connections that there are, for the clients. What is kept is still on its way to the server.
    pub(super) fn cut(&self) {
        for line in self.lines.lock().iter() {
            line.cut.send_replace(true);
        }
    }

    /// What was kept arrives; returns when the server has taken it.
    pub(super) async fn release(&self) {
        let lines: Vec<_> = self.lines.lock().extract_if(.., |line| *line.cut.borrow()).collect();
        for line in &lines {
            line.release.send_replace(true);
        }
        for line in lines {
            let mut over = line.over.subscribe();
            let taken = over.wait_for(|over| *over);
            drop(tokio::time::timeout(PATIENCE, taken).await.expect("the server takes it").unwrap());
        }
    }
}

async fn accept(listener: TcpListener, server: Arc<Mutex<u16>>, lines: Arc<Mutex<Vec<Arc<Line>>>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let port = *server.lock();
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let line = Arc::new(Line {
            mode: watch::Sender::new(Mode::Pass),
            cut: watch::Sender::new(false),
            kept: watch::Sender::new(Vec::new()),
            release: watch::Sender::new(false),
            over: watch::Sender::new(false),
        });
        lines.lock().push(line.clone());
        connections.spawn(async move {
            let server = carry(client, server, &line).await;
            let kept = line.kept.borrow().clone();
            if !kept.is_empty() && line.release.subscribe().wait_for(|release| *release).await.is_ok() {
                deliver(server, &kept).await;
            }
            line.over.send_replace(true);
        });
    }
}

/// What comes next on a connection.
enum Next {
    Said(usize),
    Answered(usize),
    Over,
}

/// Until one end is gone, or the client's is cut. What is left of the server's.
async fn carry(mut client: TcpStream, mut server: TcpStream, line: &Line) -> TcpStream {
    let (mut said, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut cut = line.cut.subscribe();
    loop {
        let next = tokio::select! {
            // Every arm is cancel-safe: a read that is dropped has read nothing.
            read = client.read(&mut said) => Next::Said(read.unwrap_or(0)),
            read = server.read(&mut answered) => Next::Answered(read.unwrap_or(0)),
            _ = cut.wait_for(|cut| *cut) => Next::Over,
        };
        let mode = *line.mode.borrow();
        let passed = match (next, mode) {
            (Next::Said(0) | Next::Answered(0) | Next::Over, _) => return server,
            (Next::Said(read), Mode::Hold) => {
                line.kept.send_modify(|kept| kept.extend_from_slice(&said[..read]));
                Ok(())
            }
            (Next::Said(read), Mode::Pass | Mode::Deaf) => server.write_all(&said[..read]).await,
            (Next::Answered(read), Mode::Pass) => client.write_all(&answered[..read]).await,
            (Next::Answered(_), Mode::Deaf | Mode::Hold) => Ok(()),
        };
        if passed.is_err() {
            return server;
        }
    }
}

/// Says it all, and reads until the server has done it and closes.
async fn deliver(mut server: TcpStream, kept: &[u8]) {
    let mut answers = Vec::new();
    if server.write_all(kept).await.is_ok() && server.shutdown().await.is_ok() {
        let _ = server.read_to_end(&mut answers).await;
    }
}
