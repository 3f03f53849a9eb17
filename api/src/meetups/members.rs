//! `GET /api/meetups/{id}/members`

use actix_web::{get, web};
use serde::Serialize;
use shared::{MeetupId, UserId};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{MemberRole, no_such_meetup};
use crate::{
    auth::access::User,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// A member, or somebody who was one: old messages keep their names.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    #[schema(value_type = i64, example = 7)]
    user_id: UserId,
    #[schema(example = "민아")]
    nickname: String,
    role: MemberRole,
    #[serde(with = "time::serde::rfc3339")]
    joined_at: OffsetDateTime,
    /// No longer a member.
    former: bool,
}

/// Who is and was in a meetup, in the order in which they joined. For members.
#[utoipa::path(
    tag = "meetups",
    params(("id" = i64, Path, description = "The meetup", example = 3)),
    responses(
        (status = 200, body = [Member]),
        (status = 401, response = ProblemDetails),
        (status = 403, response = ProblemDetails),
        (status = 404, response = ProblemDetails),
    ),
    security(("accessToken" = []))
)]
#[get("/api/meetups/{id}/members")]
pub(super) async fn members(
    state: web::Data<State>,
    User(me): User,
    id: web::Path<MeetupId>,
) -> Result<web::Json<Vec<Member>>, Problem> {
    let is_member: Option<bool> = sqlx::query_scalar(
        "select exists (select from memberships where meetup_id = id and user_id = $2 and state = 'member')
         from meetups where id = $1 and deleted_at is null",
    )
    .bind(*id)
    .bind(me.user)
    .fetch_optional(&state.database)
    .await?;
    if !is_member.ok_or_else(no_such_meetup)? {
        return Err(Problem::forbidden("not-a-member", "only members see who is in a meetup: join it"));
    }
    let members = sqlx::query_as(
        "select user_id, nickname, memberships.role, joined_at, state <> 'member' as former
         from memberships join users on users.id = user_id
         where meetup_id = $1 order by joined_at, user_id",
    )
    .bind(*id)
    .fetch_all(&state.database)
    .await?;
    Ok(web::Json(members))
}
