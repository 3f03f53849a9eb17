//! `DELETE /api/meetups/{id}`

use actix_web::{HttpResponse, delete, web};
use shared::{
    MeetupId,
    event::{self, MeetupEvent},
};

use super::owner_of;
use crate::{
    auth::access::User,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// Delete a meetup, for everybody: its chat room is closed at once. Only its owner may: 403 `not-owner`.
#[utoipa::path(
    tag = "meetups",
    params(("id" = i64, Path, description = "The meetup", example = 3)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 401, response = ProblemDetails), (status = 403, response = ProblemDetails),
        (status = 404, response = ProblemDetails),
    ),
    security(("accessToken" = []))
)]
#[delete("/api/meetups/{id}")]
pub(super) async fn remove(
    state: web::Data<State>,
    User(me): User,
    id: web::Path<MeetupId>,
) -> Result<HttpResponse, Problem> {
    let mut transaction = state.database.begin().await?;
    // The meetup's row first, as in joining: its lock puts the events in order, and this is the last.
    let deleted = sqlx::query(
        "update meetups set deleted_at = now() where id = $1 and owner_id = $2 and deleted_at is null",
    )
    .bind(*id)
    .bind(me.user)
    .execute(&mut *transaction)
    .await?;
    if deleted.rows_affected() == 0 {
        transaction.rollback().await?;
        // Unless there is none at all.
        owner_of(&state.database, *id).await?;
        return Err(Problem::forbidden("not-owner", "only the owner deletes a meetup"));
    }
    sqlx::query("update chat_rooms set closed_at = now() where id = $1")
        .bind(*id)
        .execute(&mut *transaction)
        .await?;
    event::publish(&mut transaction, &MeetupEvent::MeetupDeleted { meetup: *id }).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}
