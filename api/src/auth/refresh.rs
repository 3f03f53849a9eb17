//! `POST /api/auth/refresh`

use actix_web::{HttpRequest, HttpResponse, ResponseError, post, web};
use shared::SessionId;
use sqlx::PgConnection;

use super::session::{self, RefreshToken, Session};
use crate::{
    me::Me,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// Seconds in which a used token is taken once more, provided that nobody has used what it was exchanged for.
///
/// A page reloaded before the answer arrived has nothing but the old cookie; so has the second of two tabs
/// that wake together. Without this both would be signed out. A thief gains these seconds, in which the
/// owner's own next use of either successor shows nothing; after them, or once a successor has been used,
/// the token is treated as stolen.
const GRACE_SECONDS: f64 = 5.0;

#[derive(sqlx::FromRow)]
struct Refreshed {
    session_id: SessionId,
    #[sqlx(flatten)]
    user: Me,
}

/// Exchange the refresh cookie for a new one and an access token.
///
/// A refresh token is used once. Used again later, it ends its session: somebody has a copy.
#[utoipa::path(
    tag = "auth",
    responses(
        (status = 200, body = Session, description = "Still signed in; sets the next refresh cookie"),
        (status = 401, response = ProblemDetails),
    ),
    security(("refreshCookie" = []))
)]
#[post("/api/auth/refresh")]
pub(super) async fn refresh(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let Some(presented) = RefreshToken::of(&request) else {
        return Err(Problem::unauthenticated("there is no refresh cookie: log in"));
    };
    let hash = presented.hash();
    let mut transaction = state.database.begin().await?;
    let refreshed = match exchange(&mut transaction, &hash).await? {
        Some(refreshed) => Some(refreshed),
        None => exchange_again(&mut transaction, &hash).await?,
    };
    let Some(Refreshed { session_id, user }) = refreshed else {
        revoke_if_reused(&mut transaction, &hash).await?;
        transaction.commit().await?;
        let mut response = Problem::unauthenticated("this session has ended: log in again").error_response();
        response
            .add_cookie(&session::no_cookie(&state))
            .map_err(|error| Problem::internal(error.to_string()))?;
        return Ok(response);
    };
    sqlx::query("update sessions set last_used_at = now() where id = $1")
        .bind(session_id)
        .execute(&mut *transaction)
        .await?;
    let next = session::next_refresh_token(&mut transaction, session_id, &state).await?;
    transaction.commit().await?;
    let body = session::session(&state, session_id, user)?;
    Ok(HttpResponse::Ok().cookie(next.cookie(&state)).json(body))
}

/// The first use. Of two at once, the second waits for the first's row lock and then finds it used.
async fn exchange(transaction: &mut PgConnection, hash: &[u8]) -> sqlx::Result<Option<Refreshed>> {
    sqlx::query_as(
        "update refresh_tokens as token set used_at = now()
         from sessions as session join users on users.id = session.user_id
         where token.hash = $1 and token.used_at is null and token.expires_at > now()
           and session.id = token.session_id and session.revoked_at is null
           and users.withdrawn_at is null
         returning token.session_id, users.id, nickname, email, role, locale",
    )
    .bind(hash)
    .fetch_optional(transaction)
    .await
}

/// A second use within [`GRACE_SECONDS`].
async fn exchange_again(transaction: &mut PgConnection, hash: &[u8]) -> sqlx::Result<Option<Refreshed>> {
    sqlx::query_as(
        "select token.session_id, users.id, nickname, email, role, locale
         from refresh_tokens as token
         join sessions as session on session.id = token.session_id
         join users on users.id = session.user_id
         where token.hash = $1 and token.used_at > now() - make_interval(secs => $2)
           and token.expires_at > now() and session.revoked_at is null and users.withdrawn_at is null
           and not exists (
               select from refresh_tokens as successor
               where successor.session_id = token.session_id
                 and successor.created_at >= token.used_at and successor.used_at is not null)",
    )
    .bind(hash)
    .bind(GRACE_SECONDS)
    .fetch_optional(transaction)
    .await
}

async fn revoke_if_reused(transaction: &mut PgConnection, hash: &[u8]) -> Result<(), Problem> {
    let reused: Option<SessionId> =
        sqlx::query_scalar("select session_id from refresh_tokens where hash = $1 and used_at is not null")
            .bind(hash)
            .fetch_optional(&mut *transaction)
            .await?;
    if let Some(session) = reused {
        tracing::warn!(%session, "a used refresh token came again: session revoked");
        session::revoke(transaction, session).await?;
    }
    Ok(())
}
