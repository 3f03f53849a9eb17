//! The HTTP server: its routes and what wraps them all.

use std::{io, net::SocketAddr};

use actix_web::{App, HttpServer, dev::Server, get, web};

use crate::state::State;

/// Seconds that requests in hand get when the server stops.
const DRAIN_SECONDS: u64 = 10;

/// Binds the address and makes the server, which serves once it is awaited.
pub(crate) fn bind(state: State, address: SocketAddr) -> io::Result<(Server, SocketAddr)> {
    let state = web::Data::new(state);
    let server = HttpServer::new(move || App::new().app_data(state.clone()).service(livez))
        .disable_signals()
        .shutdown_timeout(DRAIN_SECONDS)
        .bind(address)?;
    // One address was bound, so there is a first one.
    let addr = server.addrs()[0];
    Ok((server.run(), addr))
}

#[get("/livez")]
async fn livez() -> &'static str {
    "ok"
}
