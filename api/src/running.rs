//! Starting and stopping the api.

use std::{io, net::SocketAddr};

use actix_web::dev::ServerHandle;
use anyhow::anyhow;
use shared::{
    config::{ApiSettings, CommonSettings},
    event::Delivery,
    names::Topics,
};
use sqlx::PgPool;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    relay::{self, Sink, kafka::Kafka},
    server,
    state::State,
};

/// What the api is configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The api's own.
    pub api: ApiSettings,
    /// What every process has.
    pub common: CommonSettings,
}

/// Where the outbox relay delivers what happened.
#[derive(Debug)]
pub enum EventSink {
    /// Apache Kafka, for the cluster.
    Kafka {
        /// As `host:port,host:port`.
        brokers: String,
        /// Which topics are this installation's.
        topics: Topics,
    },
    /// The engine in this process.
    Local(mpsc::Sender<Delivery>),
}

/// An api that serves requests. Dropped without [`stop`](Self::stop) it is cut off, not drained.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    server: ServerHandle,
    stopping: CancellationToken,
    /// The server and the relay. Neither ends by itself unless it failed.
    tasks: JoinSet<anyhow::Error>,
}

/// Binds `settings.api.api_addr` (port 0 for a free one) and serves until [`Running::stop`].
///
/// The schema must be up to date ([`shared::database::open`]).
pub async fn start(settings: Settings, database: PgPool, events: EventSink) -> anyhow::Result<Running> {
    let address = settings.api.api_addr;
    let listener = server::bind(address).map_err(|error| explain_bind(error, address))?;
    let addr = listener.local_addr()?;
    let state = State::new(settings, database.clone()).await?;
    let sink = match events {
        EventSink::Kafka { brokers, topics } => Sink::Kafka(Kafka::connect(&brokers, &topics).await?),
        EventSink::Local(engine) => Sink::Local(engine),
    };
    let server = server::serve(state, listener)?;
    let handle = server.handle();
    let stopping = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        match server.await {
            Ok(()) => anyhow!("the api's HTTP server ended"),
            Err(error) => anyhow::Error::new(error).context("the api's HTTP server failed"),
        }
    });
    let relay = relay::run(database, sink, stopping.clone());
    tasks.spawn(async move {
        match relay.await {
            Ok(()) => anyhow!("the outbox relay ended"),
            Err(error) => error.context("the outbox relay failed"),
        }
    });
    tracing::info!(%addr, "the api listens");
    Ok(Running { addr, server: handle, stopping, tasks })
}

/// One line that names the address and the setting that moves it.
fn explain_bind(error: io::Error, address: SocketAddr) -> anyhow::Error {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address} is already in use"),
        io::ErrorKind::PermissionDenied => format!("this user may not listen on {address}"),
        io::ErrorKind::AddrNotAvailable => format!("{address} is not an address of this machine"),
        _ => format!("cannot listen on {address}: {error}"),
    };
    anyhow::Error::new(error).context(format!("{reason} (set MOYIZA_API_ADDR to another)"))
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until a part has failed, which a healthy api never does, and says why.
    pub async fn finished(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(error)) => error,
            Some(Err(panic)) => anyhow::Error::new(panic).context("a part of the api panicked"),
            // Every part has been reported already.
            None => std::future::pending().await,
        }
    }

    /// Takes no more requests and lets those in hand finish. What the relay has under way stays in the outbox
    /// and is delivered again.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        self.server.stop(true).await;
        while self.tasks.join_next().await.is_some() {}
    }
}
