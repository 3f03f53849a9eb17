//! Which joinings and leavings are rows already.
//!
//! A room shows an event of `meetup.events` once, however late it comes again. The log's own readers drop what repeats
//! something of the last ten minutes ([`repeats`]); a relay that was away for longer between sending and deleting, or
//! nodes that were, send events of any age. So before one is appended the rows are asked, and they answer for good.
//!
//! No event needs to be looked for among all that a room ever showed: the events of one person in one meetup are
//! numbered in the order in which they happened, because whoever writes one holds the row of that membership. So the
//! last that is a row says it: what is not newer is old. That also drops an event which never came to be a row although a
//! later one did: it would contradict what the room has shown since.
//!
//! A table of applied events, written with the rows, would have to be kept small by forgetting; the column of
//! client-ids would have to be searched. What a person's membership says now is no answer: of three quick changes each is
//! to be shown.
//!
//! [`repeats`]: crate::log::repeats

use serde::Deserialize;
use shared::{RoomId, UserId};
use sqlx::PgPool;

/// What of a body is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Body<'a> {
    #[serde(borrow)]
    client_id: std::borrow::Cow<'a, str>,
}

/// Whether `room` has shown the event of that number about `user`, or a later one.
pub(crate) async fn is_shown(pool: &PgPool, room: RoomId, user: UserId, event: i64) -> sqlx::Result<bool> {
    let last: Option<String> = sqlx::query_scalar(
        "select body from chat_messages where room_id = $1 and sender_id = $2 and kind in (1, 2) \
         order by seq desc limit 1",
    )
    .bind(room)
    .bind(user)
    .fetch_optional(pool)
    .await?;
    Ok(last.as_deref().and_then(number).is_some_and(|last| event <= last))
}

/// The number of the event that a joining or leaving tells of.
fn number(body: &str) -> Option<i64> {
    let Body { client_id } = serde_json::from_str(body).ok()?;
    client_id.strip_prefix("event-")?.parse().ok()
}
