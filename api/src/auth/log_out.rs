//! `POST /api/auth/log-out`

use actix_web::{HttpRequest, HttpResponse, post, web};
use shared::SessionId;

use super::{
    access::Anyone,
    session::{self, RefreshToken},
};
use crate::{problem::Problem, state::State};

/// End this device's session: that of the refresh cookie and that of the access token.
///
/// Whoever has neither, or one that has ended, is signed out already: the answer is the same.
#[utoipa::path(
    tag = "auth",
    responses((status = 204, description = "Signed out; the refresh cookie is cleared")),
    security((), ("refreshCookie" = []), ("accessToken" = []))
)]
#[post("/api/auth/log-out")]
pub(super) async fn log_out(
    state: web::Data<State>,
    request: HttpRequest,
    access: Result<Anyone, Problem>,
) -> Result<HttpResponse, Problem> {
    let mut transaction = state.database.begin().await?;
    if let Some(token) = RefreshToken::of(&request) {
        let session: Option<SessionId> =
            sqlx::query_scalar("select session_id from refresh_tokens where hash = $1")
                .bind(token.hash())
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some(session) = session {
            session::revoke(&mut transaction, session).await?;
        }
    }
    if let Ok(Anyone(Some(signed_in))) = access {
        session::revoke(&mut transaction, signed_in.session).await?;
    }
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().cookie(session::no_cookie(&state)).finish())
}
