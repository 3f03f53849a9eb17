//! A server that can be cut off.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// A TCP proxy in front of a server. It ends with this.
pub(crate) struct Proxy {
    addr: SocketAddr,
    open: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// In front of the server at `url`, as in `scheme://user@host:port/name`; and the URL of the way through it.
    pub(crate) async fn start(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
        let (authority, path) = rest
            .split_once('/')
            .map_or((rest, String::new()), |(authority, path)| (authority, format!("/{path}")));
        let (user, server) = authority
            .rsplit_once('@')
            .map_or((String::new(), authority), |(user, server)| (format!("{user}@"), server));
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let (open, state) = watch::channel(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, state));
        (Self { addr, open, _tasks: tasks }, format!("{scheme}://{user}{addr}{path}"))
    }

    /// Where it listens.
    #[allow(dead_code, reason = "some need only the URL")]
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends every connection, and every new one at once.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn heal(&self) {
        self.open.send_replace(true);
    }
}

async fn accept(listener: TcpListener, server: String, state: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (server, mut state) = (server.clone(), state.clone());
        if !*state.borrow() {
            continue;
        }
        connections.spawn(async move {
            let Ok(mut server) = TcpStream::connect(&server).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            tokio::select! {
                // Cut in the middle, as a network is.
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = state.wait_for(|open| !open) => {}
            }
        });
    }
}
