//! `POST /api/auth/codes`

use actix_web::{HttpResponse, http::StatusCode, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::code::{Code, LIFETIME_SECONDS, Purpose, TRIES};
use crate::{
    account::Email,
    input::{Fields, Json, fields},
    mail,
    problem::{Problem, ProblemDetails},
    state::State,
};

#[derive(Deserialize, ToSchema)]
pub(super) struct CodeRequest {
    /// Where the code is sent.
    #[serde(default)]
    #[schema(required, example = "mina@example.com")]
    email: String,
    /// What it is for.
    #[serde(default)]
    #[schema(required, value_type = Purpose)]
    purpose: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeSent {
    /// How long the code is good.
    #[schema(example = 300)]
    expires_in_seconds: u32,
}

/// Send a six-digit code to an address.
///
/// It is good for five minutes and five tries; asking again replaces it. In development mode the mail is
/// found at `/dev/mailbox`.
#[utoipa::path(
    tag = "auth",
    request_body = CodeRequest,
    responses(
        (status = 202, body = CodeSent, description = "On its way"),
        (status = 400, response = ProblemDetails), (status = 415, response = ProblemDetails),
        (status = 422, response = ProblemDetails), (status = 503, response = ProblemDetails),
    )
)]
#[post("/api/auth/codes")]
pub(super) async fn request_code(
    state: web::Data<State>,
    Json(body): Json<CodeRequest>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Fields::default();
    let (Some(email), Some(purpose)) = (
        checks.check("email", Email::parse(&body.email)),
        checks.check("purpose", fields::one_of::<Purpose>(&body.purpose, "sign-up")),
    ) else {
        return Err(checks.into_problem());
    };
    if !state.settings.common.development {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "mail-not-configured",
            "this installation cannot send mail yet (MOYIZA_DEVELOPMENT puts it into /dev/mailbox)",
        ));
    }
    let code = Code::random().map_err(|error| Problem::internal(error.to_string()))?;
    let mut transaction = state.database.begin().await?;
    sqlx::query(
        "insert into verification_codes (email, purpose, code_hash, tries_left, expires_at)
         values ($1, $2, $3, $4, now() + make_interval(secs => $5))
         on conflict (email, purpose) do update set code_hash = excluded.code_hash,
             tries_left = excluded.tries_left, expires_at = excluded.expires_at",
    )
    .bind(&email)
    .bind(purpose)
    .bind(code.hash(&email, purpose))
    .bind(TRIES)
    .bind(f64::from(LIFETIME_SECONDS))
    .execute(&mut *transaction)
    .await?;
    mail::send(&mut transaction, &email, &mail::verification_code(&code.to_string())).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Accepted().json(CodeSent { expires_in_seconds: LIFETIME_SECONDS }))
}
