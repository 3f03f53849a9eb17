//! `GET /.well-known/jwks.json`

use actix_web::{HttpResponse, get, http::header, web};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use shared::signing;
use utoipa::ToSchema;

use crate::{problem::Problem, state::State};

/// A key set (RFC 7517 §5).
#[derive(Serialize, ToSchema)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// An Ed25519 public key (RFC 8037 §2).
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    #[schema(example = "OKP")]
    kty: &'static str,
    #[schema(example = "Ed25519")]
    crv: &'static str,
    #[schema(example = "EdDSA")]
    alg: &'static str,
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    usage: &'static str,
    kid: String,
    /// The key, in base64url.
    x: String,
}

/// The public keys of access tokens.
#[utoipa::path(tag = "operation", responses((status = 200, body = KeySet)))]
#[get("/.well-known/jwks.json")]
pub(super) async fn jwks(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let keys = signing::public_keys(&state.database).await?.into_iter().map(|key| Key {
        kty: "OKP",
        crv: "Ed25519",
        alg: "EdDSA",
        usage: "sig",
        kid: key.kid,
        x: BASE64_URL_SAFE_NO_PAD.encode(key.public_key),
    });
    let set = KeySet { keys: keys.collect() };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(set))
}
