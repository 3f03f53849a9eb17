//! `POST /api/meetups`

use actix_web::{HttpResponse, http::header, post, web};
use serde::Deserialize;
use shared::{
    MeetupId, UserId,
    event::{self, MeetupEvent},
};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{
    Category, Kind, Meetup, detail,
    text::{Content, Title},
};
use crate::{
    auth::access::User,
    input::{Fields, Flaw, Json, fields},
    problem::{Problem, ProblemDetails},
    state::State,
};

#[derive(Deserialize, ToSchema)]
pub(super) struct NewMeetup {
    #[serde(default)]
    #[schema(required, value_type = Kind)]
    kind: String,
    /// 2 to 40 characters.
    #[serde(default)]
    #[schema(required, example = "한강 새벽 러닝", min_length = 2, max_length = 40)]
    title: String,
    /// At most 5,000 characters of plain text.
    #[serde(default)]
    #[schema(max_length = 5000)]
    content: String,
    #[serde(default)]
    #[schema(required, value_type = Category)]
    category: String,
    /// Members at most, the owner included.
    #[schema(required, value_type = i32, minimum = 2, maximum = 100_000, example = 20)]
    capacity: Option<i64>,
}

/// The same, each of it acceptable.
struct Club {
    title: Title,
    content: Content,
    category: Category,
    capacity: i32,
}

const CATEGORIES: &str = "exercise, sports, travel, culture, art, activity, dating, self-development, hobby";

impl NewMeetup {
    fn check(self) -> Result<Club, Problem> {
        let mut checks = Fields::default();
        let kind = fields::one_of(&self.kind, "club").and_then(|kind| match kind {
            Kind::Club => Ok(()),
            Kind::Oneday => Err(Flaw::new("unsupported", "only clubs can be opened so far")),
        });
        let (Some(()), Some(title), Some(content), Some(category), Some(capacity)) = (
            checks.check("kind", kind),
            checks.check("title", Title::parse(&self.title)),
            checks.check("content", Content::parse(&self.content)),
            checks.check("category", fields::one_of(&self.category, CATEGORIES)),
            checks.check("capacity", fields::required(self.capacity).and_then(capacity)),
        ) else {
            return Err(checks.into_problem());
        };
        Ok(Club { title, content, category, capacity })
    }
}

fn capacity(number: i64) -> Result<i32, Flaw> {
    match i32::try_from(number) {
        Ok(capacity @ 2..=100_000) => Ok(capacity),
        _ => Err(Flaw::new("range", "is from 2 to 100,000")),
    }
}

/// Open a club. Whoever opens it owns it and is its first member; its chat room opens with it.
#[utoipa::path(
    tag = "meetups",
    request_body = NewMeetup,
    responses(
        (status = 201, body = Meetup),
        (status = 400, response = ProblemDetails), (status = 401, response = ProblemDetails),
        (status = 403, response = ProblemDetails), (status = 415, response = ProblemDetails),
        (status = 422, response = ProblemDetails),
    ),
    security(("accessToken" = []))
)]
#[post("/api/meetups")]
pub(super) async fn create(
    state: web::Data<State>,
    User(me): User,
    Json(body): Json<NewMeetup>,
) -> Result<HttpResponse, Problem> {
    let club = body.check()?;
    let mut transaction = state.database.begin().await?;
    let id = insert(&mut transaction, me.user, &club).await?;
    let meetup = detail::load(&mut *transaction, id, Some(me.user)).await?;
    transaction.commit().await?;
    tracing::info!(meetup = %id, user = %me.user, "a club was opened");
    let location = (header::LOCATION, format!("/api/meetups/{id}"));
    Ok(HttpResponse::Created().insert_header(location).json(meetup))
}

async fn insert(transaction: &mut PgConnection, owner: UserId, club: &Club) -> sqlx::Result<MeetupId> {
    // One round trip. `meetups` is written by the outer statement's first part, and PostgreSQL checks the
    // foreign keys of the others when the statement ends.
    let id = sqlx::query_scalar(
        "with meetup as (
             insert into meetups (kind, owner_id, title, content, category, capacity, member_count)
             values ('club', $1, $2, $3, $4, $5, 1) returning id, owner_id),
         room as (insert into chat_rooms (id) select id from meetup),
         membership as (
             insert into memberships (meetup_id, user_id, role, state)
             select id, owner_id, 'owner', 'member' from meetup)
         select id from meetup",
    )
    .bind(owner)
    .bind(&club.title)
    .bind(&club.content)
    .bind(club.category)
    .bind(club.capacity)
    .fetch_one(&mut *transaction)
    .await?;
    event::publish(transaction, &MeetupEvent::MemberJoined { meetup: id, user: owner, version: 1 }).await?;
    Ok(id)
}
