//! `POST /api/auth/log-in`

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, post, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::session::{self, Session};
use crate::{
    account::{Email, Password},
    input::{Fields, Flaw, Json},
    me::Me,
    problem::{Problem, ProblemDetails},
    state::State,
};

#[derive(Deserialize, ToSchema)]
pub(super) struct LogIn {
    #[serde(default)]
    #[schema(required, example = "mina@example.com")]
    email: String,
    #[serde(default)]
    #[schema(required)]
    password: String,
}

#[derive(sqlx::FromRow)]
struct Account {
    #[sqlx(flatten)]
    user: Me,
    password_hash: Option<String>,
}

/// Log in.
///
/// The answer to a wrong password and to an address without an account is the same, after the same time.
#[utoipa::path(
    tag = "auth",
    request_body = LogIn,
    responses(
        (status = 200, body = Session, description = "Signed in; sets the refresh cookie"),
        (status = 400, response = ProblemDetails), (status = 401, response = ProblemDetails),
        (status = 415, response = ProblemDetails), (status = 422, response = ProblemDetails),
    )
)]
#[post("/api/auth/log-in")]
pub(super) async fn log_in(
    state: web::Data<State>,
    request: HttpRequest,
    Json(body): Json<LogIn>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Fields::default();
    let empty = body.password.is_empty();
    let password =
        if empty { Err(Flaw::new("required", "is missing")) } else { Ok(Password::tried(&body.password)) };
    let (Some(email), Some(password)) =
        (checks.check("email", Email::parse(&body.email)), checks.check("password", password))
    else {
        return Err(checks.into_problem());
    };
    let account: Option<Account> = sqlx::query_as(
        "select id, nickname, email, role, locale, password_hash from users
         where lower(email) = $1 and withdrawn_at is null",
    )
    .bind(&email)
    .fetch_optional(&state.database)
    .await?;
    let (user, hash) = account.map(|account| (account.user, account.password_hash)).unzip();
    let matches = state.hashing.verify(password, hash.flatten()).await?;
    let Some(user) = user.filter(|_| matches) else {
        let detail = "the address or the password is wrong";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong-credentials", detail));
    };

    let mut transaction = state.database.begin().await?;
    let session = session::open(&mut transaction, user.id, &request).await?;
    let token = session::next_refresh_token(&mut transaction, session, &state).await?;
    transaction.commit().await?;
    tracing::info!(user = %user.id, %session, "logged in");
    let body = session::session(&state, session, user)?;
    Ok(HttpResponse::Ok().cookie(token.cookie(&state)).json(body))
}
