//! `GET /dev/mailbox`: the mails that would have been sent, in development mode.

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{input::Query, problem::Problem, state::State};

#[derive(Deserialize)]
struct Filter {
    to: Option<String>,
}

#[derive(Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
struct Mail {
    #[serde(rename = "to")]
    recipient: String,
    subject: String,
    body: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(mailbox);
}

/// As a page for people; as JSON for whoever accepts that, or asks for one address.
#[get("/dev/mailbox")]
async fn mailbox(
    state: web::Data<State>,
    request: HttpRequest,
    Query(filter): Query<Filter>,
) -> Result<HttpResponse, Problem> {
    if !state.settings.common.development {
        return Err(Problem::not_found("there is a mailbox in development mode only (MOYIZA_DEVELOPMENT)"));
    }
    let mails: Vec<Mail> = sqlx::query_as(
        "select recipient, subject, body, created_at from dev_mailbox
         where $1::text is null or recipient = lower($1) order by id desc limit 100",
    )
    .bind(&filter.to)
    .fetch_all(&state.database)
    .await?;
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_json = accept.is_some_and(|accept| accept.starts_with("application/json"));
    if wants_json || filter.to.is_some() {
        return Ok(HttpResponse::Ok().json(mails));
    }
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(as_page(&mails)))
}

fn as_page(mails: &[Mail]) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Mailbox · Moyiza</title>\
         <h1>Mails that would have been sent</h1><p>Newest first. Development mode only.</p>",
    );
    if mails.is_empty() {
        page.push_str("<p>None yet.</p>");
    }
    for mail in mails {
        let at = mail.created_at.format(&Rfc3339).unwrap_or_default();
        let (to, subject, body) = (escape(&mail.recipient), escape(&mail.subject), escape(&mail.body));
        // Writing to a String cannot fail.
        let _ = write!(page, "<hr><article><p>{at} · {to}</p><h2>{subject}</h2><pre>{body}</pre></article>");
    }
    page.push_str("</html>");
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
