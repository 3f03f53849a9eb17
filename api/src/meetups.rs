//! Meetups and who is in them.

mod category;
mod create;
mod detail;
mod join;
mod leave;
mod list;
mod members;
mod remove;
mod text;

use serde::{Deserialize, Serialize};
use shared::{MeetupId, UserId};
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use category::Category;

use crate::problem::Problem;

/// Regular, or on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum Kind {
    /// 일상속: people who meet regularly.
    Club,
    /// 하루속: one day.
    Oneday,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum MemberRole {
    /// Opened it, or was handed it. There is always one.
    Owner,
    /// Helps to run it.
    Host,
    /// Takes part.
    Member,
}

/// A meetup as lists show it. Its chat room has the same id.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeetupSummary {
    #[schema(value_type = i64, example = 3)]
    pub(crate) id: MeetupId,
    kind: Kind,
    #[schema(example = "한강 새벽 러닝")]
    title: String,
    category: Category,
    /// How many members it can have, the owner included.
    capacity: i32,
    member_count: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    starts_at: Option<OffsetDateTime>,
    place: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// A meetup.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meetup {
    #[serde(flatten)]
    summary: MeetupSummary,
    content: String,
    owner: Owner,
    /// Null for those who are not members.
    my_role: Option<MemberRole>,
}

/// Who runs a meetup.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Owner {
    #[schema(value_type = i64, example = 7)]
    id: UserId,
    #[schema(example = "민아")]
    nickname: String,
}

pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(category::categories)
        .service(list::list)
        .service(create::create)
        .service(detail::detail)
        .service(members::members)
        .service(join::join)
        .service(leave::leave)
        .service(remove::remove);
}

/// Whose the meetup is, if there is such a one.
async fn owner_of(database: &PgPool, meetup: MeetupId) -> Result<UserId, Problem> {
    sqlx::query_scalar("select owner_id from meetups where id = $1 and deleted_at is null")
        .bind(meetup)
        .fetch_optional(database)
        .await?
        .ok_or_else(no_such_meetup)
}

fn no_such_meetup() -> Problem {
    Problem::not_found("there is no such meetup")
}
