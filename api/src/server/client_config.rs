//! `GET /api/config`

use actix_web::{
    HttpRequest, get,
    http::{header, uri::Authority},
    web,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::State;

/// Where the engine listens if nobody says otherwise.
const ENGINE_PORT: u16 = 8081;

/// What a client has to know before anything else.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientConfig {
    /// The engine's WebSocket.
    #[schema(example = "ws://localhost:8081/ws")]
    engine_url: String,
}

/// What a client has to know before anything else.
#[utoipa::path(tag = "operation", responses((status = 200, body = ClientConfig)))]
#[get("/api/config")]
pub(super) async fn client_config(state: web::Data<State>, request: HttpRequest) -> web::Json<ClientConfig> {
    web::Json(ClientConfig { engine_url: engine_url(&state, &request) })
}

/// As configured; else on the host by which the browser reached us, since a page opened at 127.0.0.1 and one
/// opened at localhost or from the next room each need theirs.
pub(super) fn engine_url(state: &State, request: &HttpRequest) -> String {
    if let Some(url) = &state.settings.api.engine_url {
        return url.clone();
    }
    // Parsed, because it ends up in a header of ours.
    let host = request.headers().get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let host = host.as_ref().map_or("localhost", Authority::host);
    let scheme = if state.settings.api.secure_cookies { "wss" } else { "ws" };
    format!("{scheme}://{host}:{ENGINE_PORT}/ws")
}
