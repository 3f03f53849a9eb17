//! `DELETE /api/meetups/{id}/members/me`

use actix_web::{HttpResponse, delete, web};
use shared::{
    MeetupId, UserId,
    event::{self, LeaveReason, MeetupEvent},
};
use sqlx::PgConnection;

use super::owner_of;
use crate::{
    auth::access::User,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// Leave a meetup, and with it its chat room. Its owner cannot: 409 `owner-cannot-leave`.
#[utoipa::path(
    tag = "meetups",
    params(("id" = i64, Path, description = "The meetup", example = 3)),
    responses(
        (status = 204, description = "No longer a member"),
        (status = 401, response = ProblemDetails), (status = 403, response = ProblemDetails),
        (status = 404, response = ProblemDetails),
        (status = 409, response = ProblemDetails),
    ),
    security(("accessToken" = []))
)]
#[delete("/api/meetups/{id}/members/me")]
pub(super) async fn leave(
    state: web::Data<State>,
    User(me): User,
    id: web::Path<MeetupId>,
) -> Result<HttpResponse, Problem> {
    let mut transaction = state.database.begin().await?;
    // The meetup's row first, as in joining: its lock puts the events in order.
    let freed = sqlx::query(
        "update meetups set member_count = member_count - 1
         where id = $1 and deleted_at is null and owner_id <> $2 and member_count > 0",
    )
    .bind(*id)
    .bind(me.user)
    .execute(&mut *transaction)
    .await?;
    let version = match freed.rows_affected() {
        1 => bury(&mut transaction, *id, me.user).await?,
        _ => None,
    };
    let Some(version) = version else {
        transaction.rollback().await?;
        return Err(refusal(&state, *id, me.user).await?);
    };
    let event = MeetupEvent::MemberLeft { meetup: *id, user: me.user, version, reason: LeaveReason::Left };
    event::publish(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Turns the membership into its tombstone; `None` if there was none.
async fn bury(transaction: &mut PgConnection, meetup: MeetupId, user: UserId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "update memberships set state = 'left', version = version + 1
         where meetup_id = $1 and user_id = $2 and state = 'member' returning version",
    )
    .bind(meetup)
    .bind(user)
    .fetch_optional(transaction)
    .await
}

/// Why there was nothing for this person to leave.
async fn refusal(state: &State, meetup: MeetupId, user: UserId) -> Result<Problem, Problem> {
    Ok(if owner_of(&state.database, meetup).await? == user {
        Problem::conflict("owner-cannot-leave", "the owner hands the meetup over or closes it")
    } else {
        Problem::not_found("you are not a member of this meetup")
    })
}
