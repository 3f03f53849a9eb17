//! `GET /api/meetups`

use actix_web::{get, web};
use serde::{Deserialize, Serialize};
use shared::MeetupId;
use utoipa::{IntoParams, ToSchema};

use super::{Kind, MeetupSummary};
use crate::{
    input::{Fields, Flaw, Query, fields},
    problem::{Problem, ProblemDetails},
    state::State,
};

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only these.
    #[param(value_type = Option<Kind>)]
    kind: Option<String>,
    /// Only older ones: the `next` of the page before.
    #[param(value_type = Option<i64>, minimum = 1)]
    before: Option<String>,
    /// How many at most; 20 if left out.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// A page of meetups.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    items: Vec<MeetupSummary>,
    /// `before` of the next page, null at the end.
    #[schema(value_type = Option<i64>)]
    next: Option<MeetupId>,
}

/// Meetups, newest first.
#[utoipa::path(
    tag = "meetups",
    params(Filter),
    responses((status = 200, body = Page), (status = 400, response = ProblemDetails), (status = 422, response = ProblemDetails))
)]
#[get("/api/meetups")]
pub(super) async fn list(
    state: web::Data<State>,
    Query(filter): Query<Filter>,
) -> Result<web::Json<Page>, Problem> {
    let mut checks = Fields::default();
    let kind = filter.kind.map(|kind| fields::one_of::<Kind>(&kind, "club, oneday")).transpose();
    let before = filter.before.map(|id| id.parse::<MeetupId>()).transpose();
    let before = before.map_err(|_| Flaw::new("format", "is a meetup's id"));
    let (Some(kind), Some(before), Some(limit)) = (
        checks.check("kind", kind),
        checks.check("before", before),
        checks.check("limit", limit(filter.limit.as_deref())),
    ) else {
        return Err(checks.into_problem());
    };
    // One more than asked for tells whether there is a next page, without a count.
    let mut items: Vec<MeetupSummary> = sqlx::query_as(
        "select id, kind, title, category, capacity, member_count, starts_at, place, created_at
         from meetups
         where deleted_at is null and ($1::text is null or kind = $1) and id < coalesce($2, $4)
         order by id desc limit $3",
    )
    .bind(kind)
    .bind(before)
    .bind(limit + 1)
    .bind(i64::MAX)
    .fetch_all(&state.database)
    .await?;
    let more = i64::try_from(items.len()).is_ok_and(|found| found > limit);
    if more {
        items.pop();
    }
    let next = if more { items.last().map(|item| item.id) } else { None };
    Ok(web::Json(Page { items, next }))
}

fn limit(text: Option<&str>) -> Result<i64, Flaw> {
    match text.map_or(Ok(DEFAULT_LIMIT), str::parse) {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(Flaw::new("range", format!("is from 1 to {MAX_LIMIT}"))),
    }
}
