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

use std::{io, net::SocketAddr, sync::Arc};

use actix_web::{
    App, HttpServer,
    dev::Server,
    middleware::{Compress, from_fn},
    web,
};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt as _, service_config::ServiceConfig};

use crate::{auth, input, me, meetups, state::State};

/// Seconds that requests in hand get when the server stops.
const DRAIN_SECONDS: u64 = 10;

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

/// Binds the address and makes the server, which serves once it is awaited.
pub(crate) fn bind(state: State, address: SocketAddr) -> io::Result<(Server, SocketAddr)> {
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
    .bind(address)?;
    // One address was bound, so there is a first one.
    let addr = server.addrs()[0];
    Ok((server.run(), addr))
}
