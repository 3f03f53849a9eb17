//! The web page, which a release carries inside.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, Uri, header},
};
use rust_embed::RustEmbed;

use super::client_config;
use crate::state::State;

/// What `npm run build` made. A build of the api without it works and says so at `/`.
#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Dist;

const INDEX: &str = "index.html";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Moyiza</title>\
    <h1>The api runs, the web page is not built</h1>\
    <p>Build it with <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, then start again \
    (<code>make run</code> does both). Meanwhile: <a href=\"/api/docs/\">the api</a>.</html>";

/// A file of the page other than its index, as it is.
pub(super) fn file(path: &str) -> Option<HttpResponse> {
    let path = path.trim_start_matches('/');
    // A file has one address; a debug build would ask the file system about others.
    if path.is_empty() || path == INDEX || path.split('/').any(|part| part == "..") {
        return None;
    }
    let file = Dist::get(path)?;
    // Vite puts a hash of the content into the name of everything under assets/.
    let caching =
        if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    Some(
        HttpResponse::Ok()
            .content_type(file.metadata.mimetype())
            .insert_header((header::CACHE_CONTROL, caching))
            .body(file.data.into_owned()),
    )
}

/// The page itself, whatever its own router makes of the address.
pub(super) fn index(state: &State, request: &HttpRequest) -> HttpResponse {
    let (status, body) = match Dist::get(INDEX) {
        Some(index) => (StatusCode::OK, index.data.into_owned()),
        None => (StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT.into()),
    };
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        // It names the hashed files, so a stale one would ask for files that are gone.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(&client_config::engine_url(state, request))))
        .body(body)
}

/// Only our own scripts and styles run, and only we and the engine are talked to.
fn policy(engine_url: &str) -> String {
    let engine = engine_url.parse::<Uri>().ok();
    let engine = engine.as_ref().and_then(|url| Some((url.scheme_str()?, url.authority()?)));
    let engine = engine.map_or(String::new(), |(scheme, authority)| {
        // The engine serves plain HTTP on the same port.
        let http = scheme.replacen("ws", "http", 1);
        format!(" {scheme}://{authority} {http}://{authority}")
    });
    format!(
        "default-src 'self'; connect-src 'self'{engine}; img-src 'self' data: blob:; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}
