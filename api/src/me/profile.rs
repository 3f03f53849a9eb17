//! `GET /api/me`

use actix_web::{get, web};

use super::Me;
use crate::{
    auth::access::Guest,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// My account.
#[utoipa::path(
    tag = "me",
    responses((status = 200, body = Me), (status = 401, response = ProblemDetails)),
    security(("accessToken" = []))
)]
#[get("/api/me")]
pub(super) async fn me(state: web::Data<State>, Guest(me): Guest) -> Result<web::Json<Me>, Problem> {
    let me = sqlx::query_as("select id, nickname, email, role, locale from users where id = $1")
        .bind(me.user)
        .fetch_one(&state.database)
        .await?;
    Ok(web::Json(me))
}
