//! `POST /api/meetups/{id}/members`

use actix_web::{HttpResponse, post, web};
use serde::Serialize;
use shared::{
    MeetupId, UserId,
    event::{self, MeetupEvent},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{MemberRole, no_such_meetup};
use crate::{
    auth::access::User,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// Being a member of a meetup.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub(super) struct Membership {
    #[schema(value_type = i64, example = 3)]
    meetup_id: MeetupId,
    #[schema(value_type = i64, example = 7)]
    user_id: UserId,
    role: MemberRole,
    #[serde(with = "time::serde::rfc3339")]
    joined_at: OffsetDateTime,
    /// Orders the events that tell of this row.
    #[serde(skip)]
    version: i64,
}

/// Join a meetup, and with it its chat room.
///
/// 409 is `already-member` or `full`, 403 is `banned` or `profile-incomplete`.
#[utoipa::path(
    tag = "meetups",
    params(("id" = i64, Path, description = "The meetup", example = 3)),
    responses(
        (status = 201, body = Membership),
        (status = 401, response = ProblemDetails),
        (status = 403, response = ProblemDetails),
        (status = 404, response = ProblemDetails),
        (status = 409, response = ProblemDetails),
    ),
    security(("accessToken" = []))
)]
#[post("/api/meetups/{id}/members")]
pub(super) async fn join(
    state: web::Data<State>,
    User(me): User,
    id: web::Path<MeetupId>,
) -> Result<HttpResponse, Problem> {
    let mut transaction = state.database.begin().await?;
    let membership = if take_place(&mut transaction, *id).await? {
        admit(&mut transaction, *id, me.user).await?
    } else {
        None
    };
    let Some(membership) = membership else {
        // Gives the place back before asking why there was none.
        transaction.rollback().await?;
        return Err(refusal(&state, *id, me.user).await?);
    };
    let event = MeetupEvent::MemberJoined { meetup: *id, user: me.user, version: membership.version };
    event::publish(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Created().json(membership))
}

/// Takes one of the places, if one is free. The statement is the whole rule: those who come at once queue at
/// the row, and each sees what the one before left. It also comes first, so that a meetup's events are
/// written under its row's lock, in the order in which they commit.
async fn take_place(transaction: &mut PgConnection, meetup: MeetupId) -> sqlx::Result<bool> {
    let taken = sqlx::query(
        "update meetups set member_count = member_count + 1
         where id = $1 and deleted_at is null and member_count < capacity",
    )
    .bind(meetup)
    .execute(transaction)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Makes the person a member, new or again; `None` if they are one already or must not be.
async fn admit(
    transaction: &mut PgConnection,
    meetup: MeetupId,
    user: UserId,
) -> sqlx::Result<Option<Membership>> {
    sqlx::query_as(
        "insert into memberships as mine (meetup_id, user_id, state) values ($1, $2, 'member')
         on conflict (meetup_id, user_id) do update
             set state = 'member', role = 'member', version = mine.version + 1, joined_at = now()
             where mine.state = 'left'
         returning meetup_id, user_id, role, joined_at, version",
    )
    .bind(meetup)
    .bind(user)
    .fetch_optional(transaction)
    .await
}

/// Why there was no place for this person.
async fn refusal(state: &State, meetup: MeetupId, user: UserId) -> Result<Problem, Problem> {
    let membership: Option<Option<String>> = sqlx::query_scalar(
        "select state from meetups left join memberships on meetup_id = id and user_id = $2
         where id = $1 and deleted_at is null",
    )
    .bind(meetup)
    .bind(user)
    .fetch_optional(&state.database)
    .await?;
    Ok(match membership.as_ref().map(|state| state.as_deref()) {
        None => no_such_meetup(),
        Some(Some("member")) => Problem::conflict("already-member", "you are a member already"),
        Some(Some("banned")) => Problem::forbidden("banned", "you were banned from this meetup"),
        Some(_) => Problem::conflict("full", "every place is taken"),
    })
}
