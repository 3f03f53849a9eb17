//! A way to a server that can be cut or stalled.

use std::{net::Ipv4Addr, sync::OnceLock};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What a way does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It passes.
    Pass,
    /// What is open is reset, and so is who comes anew: a firewall that rejects, a host that is down.
    Cut,
    /// Nothing passes and nothing is closed: a network that loses everything. What was sent meanwhile arrives in the
    /// end, as TCP's repetitions make it.
    Stall,
}

/// A port that leads to a server. It stays bound whatever the mode.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    server: &'static OnceLock<u16>,
}

impl Proxy {
    /// A new port, that does as `mode` says at any time. It leads nowhere until [`lead_to`](Self::lead_to).
    pub async fn bind(mode: watch::Receiver<Mode>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr().context("a listener without a port")?.port();
        // As long as the process, as its task is.
        let server = Box::leak(Box::new(OnceLock::new()));
        tokio::spawn(accept(listener, server, mode));
        Ok(Self { port, server })
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Says, once, on which port of 127.0.0.1 the server is.
    pub fn lead_to(&self, port: u16) {
        let _ = self.server.set(port);
    }
}

async fn accept(listener: TcpListener, server: &'static OnceLock<u16>, mut mode: watch::Receiver<Mode>) {
    loop {
        // Who knocks while it is stalled waits in the system's queue.
        if mode.wait_for(|mode| *mode != Mode::Stall).await.is_err() {
            return;
        }
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = mode.changed() => continue,
        };
        let Ok((client, _)) = client else { continue };
        match server.get() {
            Some(server) if *mode.borrow() != Mode::Cut => {
                tokio::spawn(carry(client, *server, mode.clone()));
            }
            _ => reset(&client),
        }
    }
}

async fn carry(mut client: TcpStream, server: u16, mut mode: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else {
        return reset(&client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let both = async {
            // The first that breaks ends both.
            tokio::try_join!(
                pump(from_client, to_server, mode.clone()),
                pump(from_server, to_client, mode.clone())
            )
        };
        let mut cut = mode.clone();
        tokio::select! {
            ended = both => ended.is_ok(),
            _ = cut.wait_for(|mode| *mode == Mode::Cut) => false,
        }
    };
    if !ended {
        // A stalled network does not pass on that one end is gone either.
        let _ = mode.wait_for(|mode| *mode != Mode::Stall).await;
        reset(&client);
        reset(&server);
    }
}

/// Until the one end says that it is done, which is passed on. An error if either broke.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // What was read just before a stall waits here, and so does all that comes after it. Without anybody who
        // could change the mode it passes.
        let _ = mode.wait_for(|mode| *mode == Mode::Pass).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Makes its drop a reset.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything back, and a way to it.
    async fn echo() -> (Proxy, watch::Sender<Mode>) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (mode, received) = watch::channel(Mode::Pass);
        let proxy = Proxy::bind(received).await.unwrap();
        proxy.lead_to(server.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        (proxy, mode)
    }

    async fn say(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
        stream.write_all(text.as_bytes()).await?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await?;
        assert_eq!(back, text.as_bytes());
        Ok(())
    }

    #[tokio::test]
    async fn what_is_stalled_arrives_in_the_end() {
        let (proxy, mode) = echo().await;
        let mut before = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
        say(&mut before, "hi").await.unwrap();
        mode.send(Mode::Stall).unwrap();
        let mut meanwhile = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
        let (old, new) = tokio::join!(say(&mut before, "still here"), async {
            let said = say(&mut meanwhile, "and I");
            tokio::pin!(said);
            // Polled once before the way is open again.
            tokio::select! {
                biased;
                _ = &mut said => panic!("nothing passes"),
                () = tokio::task::yield_now() => {}
            }
            mode.send(Mode::Pass).unwrap();
            said.await
        });
        assert!(old.is_ok() && new.is_ok());
    }

    #[tokio::test]
    async fn what_is_cut_is_reset_and_what_comes_later_passes() {
        let (proxy, mode) = echo().await;
        let mut before = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
        say(&mut before, "hi").await.unwrap();
        mode.send(Mode::Cut).unwrap();
        assert!(say(&mut before, "gone").await.is_err());
        // Accepted by the system, and reset at once.
        let refused = async {
            let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
            say(&mut stream, "no").await
        };
        assert!(refused.await.is_err());
        mode.send(Mode::Pass).unwrap();
        let mut after = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
        say(&mut after, "again").await.unwrap();
    }
}
