//! `GET /livez` and `GET /readyz`

use std::time::Duration;

use actix_web::{get, http::StatusCode, web};

use crate::{
    problem::{Problem, ProblemDetails},
    state::State,
};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process runs.
#[utoipa::path(tag = "operation", responses((status = 200, body = String, content_type = "text/plain")))]
#[get("/livez")]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Requests can be served: the database answers.
#[utoipa::path(
    tag = "operation",
    responses(
        (status = 200, body = String, content_type = "text/plain"), (status = 503, response = ProblemDetails)
    )
)]
#[get("/readyz")]
pub(super) async fn readyz(state: web::Data<State>) -> Result<&'static str, Problem> {
    let answer = tokio::time::timeout(PATIENCE, sqlx::query("select 1").execute(&state.database)).await;
    match answer {
        Ok(Ok(_)) => Ok("ok\n"),
        _ => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the database does not answer")),
    }
}
