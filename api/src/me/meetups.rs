//! `GET /api/me/meetups`

use actix_web::{get, web};

use crate::{
    auth::access::Guest,
    meetups::MeetupSummary,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// The meetups I am a member of, and so my chat rooms; newest first.
#[utoipa::path(
    tag = "me",
    responses((status = 200, body = [MeetupSummary]), (status = 401, response = ProblemDetails)),
    security(("accessToken" = []))
)]
#[get("/api/me/meetups")]
pub(super) async fn my_meetups(
    state: web::Data<State>,
    Guest(me): Guest,
) -> Result<web::Json<Vec<MeetupSummary>>, Problem> {
    let meetups = sqlx::query_as(
        "select id, kind, title, category, capacity, member_count, starts_at, place, meetups.created_at
         from memberships join meetups on meetups.id = meetup_id
         where user_id = $1 and state = 'member' and deleted_at is null order by id desc",
    )
    .bind(me.user)
    .fetch_all(&state.database)
    .await?;
    Ok(web::Json(meetups))
}
