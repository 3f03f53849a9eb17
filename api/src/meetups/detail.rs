//! `GET /api/meetups/{id}`

use actix_web::{get, web};
use shared::{MeetupId, UserId};
use sqlx::PgExecutor;

use super::{Meetup, MeetupSummary, MemberRole, Owner, no_such_meetup};
use crate::{
    auth::access::Anyone,
    problem::{Problem, ProblemDetails},
    state::State,
};

/// One meetup. Anybody may look; who signed in also learns their role.
#[utoipa::path(
    tag = "meetups",
    params(("id" = i64, Path, description = "The meetup", example = 3)),
    responses(
        (status = 200, body = Meetup),
        (status = 401, response = ProblemDetails),
        (status = 404, response = ProblemDetails),
    ),
    security((), ("accessToken" = []))
)]
#[get("/api/meetups/{id}")]
pub(super) async fn detail(
    state: web::Data<State>,
    Anyone(asker): Anyone,
    id: web::Path<MeetupId>,
) -> Result<web::Json<Meetup>, Problem> {
    let asker = asker.map(|asker| asker.user);
    Ok(web::Json(load(&state.database, *id, asker).await?))
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    summary: MeetupSummary,
    content: String,
    owner_id: UserId,
    owner_nickname: String,
    my_role: Option<MemberRole>,
}

/// The meetup as `asker` sees it.
pub(super) async fn load(
    database: impl PgExecutor<'_>,
    id: MeetupId,
    asker: Option<UserId>,
) -> Result<Meetup, Problem> {
    let row: Option<Row> = sqlx::query_as(
        "select meetup.id, kind, title, category, capacity, member_count, starts_at, place,
                meetup.created_at, content, owner_id, owner.nickname as owner_nickname, mine.role as my_role
         from meetups as meetup join users as owner on owner.id = owner_id
         left join memberships as mine
             on mine.meetup_id = meetup.id and mine.user_id = $2 and mine.state = 'member'
         where meetup.id = $1 and deleted_at is null",
    )
    .bind(id)
    .bind(asker)
    .fetch_optional(database)
    .await?;
    let row = row.ok_or_else(no_such_meetup)?;
    let owner = Owner { id: row.owner_id, nickname: row.owner_nickname };
    Ok(Meetup { summary: row.summary, content: row.content, owner, my_role: row.my_role })
}
