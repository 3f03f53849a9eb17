//! The HTTP server: its routes and what wraps them all.

mod client_config;
mod docs;
mod elsewhere;
mod headers;
mod health;
mod jwks;
mod mailbox;
mod page;
mod request_log;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_web::{
    App, HttpServer,
    dev::Server,
    middleware::{Compress, from_fn},
    web,
};
use socket2::{Domain, Socket, Type};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt as _, service_config::ServiceConfig};

use crate::{auth, input, me, meetups, state::State};

/// Seconds that requests in hand get when the server stops.
const DRAIN_SECONDS: u64 = 10;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Everything that the OpenAPI document lists. The document is collected from here, so it cannot miss one.
fn routes(config: &mut ServiceConfig<'_>) {
    config
        .configure(auth::routes)
        .configure(me::routes)
        .configure(meetups::routes)
        .service(client_config::client_config)
        .service(jwks::jwks)
        .service(health::livez)
        .service(health::readyz);
}

/// Takes the address, so that nobody else has it while the rest starts.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart need not wait until the connections of the last run are forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The server, which serves once it is awaited.
pub(crate) fn serve(state: State, listener: TcpListener) -> io::Result<Server> {
    let state = web::Data::new(state);
    let server = HttpServer::new(move || {
        let (app, document) = App::new()
            .into_utoipa_app()
            .openapi(docs::document())
            .app_data(state.clone())
            .app_data(input::path_config())
            .configure(routes)
            .split_for_parts();
        let elsewhere = web::Data::new(elsewhere::Routes::of(&document));
        app.app_data(web::Data::from(Arc::<OpenApi>::new(document)))
            .app_data(elsewhere)
            .configure(docs::routes)
            .configure(mailbox::routes)
            .default_service(web::to(elsewhere::elsewhere))
            .wrap(Compress::default())
            .wrap(headers::headers())
            .wrap(from_fn(request_log::request_log))
    })
    .disable_signals()
    .shutdown_timeout(DRAIN_SECONDS)
    .listen(listener)?;
    Ok(server.run())
}
