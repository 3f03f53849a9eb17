//! Sessions: a signed-in device, its access tokens and its one living refresh token.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
    http::header,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::{
    SessionId, UserId,
    event::{self, MeetupEvent},
    token::{ACCESS_TOKEN_LIFETIME, Claims},
};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::{me::Me, problem::Problem, state::State};

/// The refresh token's cookie. Nothing but this folder's routes is sent it.
const COOKIE: &str = "moyiza_refresh";
const COOKIE_PATH: &str = "/api/auth";

/// Signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    /// For `Authorization: Bearer` and the engine's CONNECT.
    access_token: String,
    /// How long it is good; refresh it before.
    #[schema(example = 900)]
    expires_in_seconds: u64,
    /// Who signed in.
    user: Me,
}

/// An opaque refresh token: 32 random bytes. Only its hash is stored.
pub(super) struct RefreshToken(String);

impl RefreshToken {
    fn random() -> Result<Self, Problem> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The one a request brings.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        request.cookie(COOKIE).map(|cookie| Self(cookie.value().to_owned()))
    }

    /// SHA-256 suffices: 256 random bits cannot be guessed, so there is nothing to slow down.
    pub(super) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }

    /// Sets it in the browser for as long as it is good.
    pub(super) fn cookie(self, state: &State) -> Cookie<'static> {
        cookie(self.0, state).max_age(Duration::days(state.settings.api.refresh_days.into())).finish()
    }
}

/// Takes the cookie away.
pub(super) fn no_cookie(state: &State) -> Cookie<'static> {
    cookie(String::new(), state).max_age(Duration::ZERO).finish()
}

fn cookie(value: String, state: &State) -> actix_web::cookie::CookieBuilder<'static> {
    Cookie::build(COOKIE, value)
        .path(COOKIE_PATH)
        .http_only(true)
        // Strict: no other site's link or form brings it along, so there is no request to forge.
        .same_site(SameSite::Strict)
        .secure(state.settings.api.secure_cookies)
}

/// Opens a session on the device that asks.
pub(super) async fn open(
    transaction: &mut PgConnection,
    user: UserId,
    request: &HttpRequest,
) -> Result<SessionId, Problem> {
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.map(|agent| agent.chars().take(256).collect::<String>());
    Ok(sqlx::query_scalar("insert into sessions (user_id, user_agent) values ($1, $2) returning id")
        .bind(user)
        .bind(agent)
        .fetch_one(transaction)
        .await?)
}

/// Gives the session its next refresh token.
pub(super) async fn next_refresh_token(
    transaction: &mut PgConnection,
    session: SessionId,
    state: &State,
) -> Result<RefreshToken, Problem> {
    let token = RefreshToken::random()?;
    sqlx::query(
        "insert into refresh_tokens (hash, session_id, expires_at)
         values ($1, $2, now() + make_interval(days => $3))",
    )
    .bind(token.hash())
    .bind(session)
    .bind(i32::from(state.settings.api.refresh_days))
    .execute(transaction)
    .await?;
    Ok(token)
}

/// What the browser is told, with a fresh access token.
pub(super) fn session(state: &State, session: SessionId, user: Me) -> Result<Session, Problem> {
    let claims = Claims::new(user.id, session, user.role, ACCESS_TOKEN_LIFETIME);
    let access_token = state.signer.sign(&claims).map_err(Problem::internal)?;
    Ok(Session { access_token, expires_in_seconds: ACCESS_TOKEN_LIFETIME.as_secs(), user })
}

/// Ends a session, and tells the engines in the same transaction. Ending it twice is telling it once.
pub(super) async fn revoke(transaction: &mut PgConnection, session: SessionId) -> Result<(), Problem> {
    let user: Option<UserId> = sqlx::query_scalar(
        "update sessions set revoked_at = now() where id = $1 and revoked_at is null returning user_id",
    )
    .bind(session)
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(user) = user {
        event::publish(transaction, &MeetupEvent::SessionRevoked { user, session }).await?;
    }
    Ok(())
}
