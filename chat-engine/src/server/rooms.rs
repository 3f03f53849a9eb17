//! `GET /rooms/{room}/messages`: pages of history for who has no connection.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use dashmap::DashMap;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use shared::{RoomId, Seq, UserId};
use tokio::sync::oneshot;

use super::{Reply, is_allowed_origin};
use crate::{
    access::AccessError,
    connection::{DEFAULT_PAGE, MAX_PAGE, NEWEST},
    engine::Engine,
    shard::{Input, MessagePage, Place, Unavailable},
};

/// How long a browser remembers what the preflight said, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("600");

/// Pages that one person may be waiting for at the same time.
const PAGES_AT_ONCE: usize = 4;
/// When who asked for more may ask again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The pages that people are waiting for.
#[derive(Debug, Default)]
pub(crate) struct Readers(DashMap<UserId, usize>);

/// One of them, until it is dropped.
struct Seat<'a> {
    readers: &'a Readers,
    user: UserId,
}

impl Readers {
    fn sit(&self, user: UserId) -> Option<Seat<'_>> {
        let mut pages = self.0.entry(user).or_default();
        if *pages >= PAGES_AT_ONCE {
            return None;
        }
        *pages += 1;
        Some(Seat { readers: self, user })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.readers.0.remove_if_mut(&self.user, |_, pages| {
            *pages -= 1;
            *pages == 0
        });
    }
}

/// What is refused, and why.
type Refused = (StatusCode, String);

/// The room of `/rooms/{room}/messages`, if the path is one.
pub(super) fn room_of(path: &str) -> Option<RoomId> {
    path.strip_prefix("/rooms/")?.strip_suffix("/messages")?.parse().ok()
}

/// Answers a request for a room's messages.
pub(super) async fn respond(engine: Arc<Engine>, room: RoomId, request: Request<Incoming>) -> Reply {
    let headers = request.headers();
    let origin = headers.get(header::ORIGIN).cloned();
    let allowed = origin.filter(|_| is_allowed_origin(&engine, headers));
    let mut response = match *request.method() {
        Method::OPTIONS => preflight(allowed.is_some()),
        Method::GET => {
            let token = bearer(headers).map(str::to_owned);
            let query = request.uri().query().unwrap_or_default();
            match page(&engine, room, token.as_deref(), query).await {
                Ok(page) => json(StatusCode::OK, &page),
                Err((status, reason)) => {
                    let mut response = json(status, &serde_json::json!({ "error": reason }).to_string());
                    if status == StatusCode::TOO_MANY_REQUESTS {
                        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                    }
                    if status == StatusCode::UNAUTHORIZED {
                        // RFC 9110 §11.6.1: it names the scheme.
                        let scheme = HeaderValue::from_static("Bearer");
                        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
                    }
                    response
                }
            }
        }
        _ => {
            let mut response = json(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"GET only"}"#);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, OPTIONS"));
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// What a browser asks before it sends a token to another origin (Fetch standard, "CORS-preflight fetch").
fn preflight(allowed: bool) -> Reply {
    let mut response = Response::new(Full::default());
    *response.status_mut() = if allowed { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN };
    if allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    }
    response
}

async fn page(engine: &Engine, room: RoomId, token: Option<&str>, query: &str) -> Result<String, Refused> {
    let claims = engine.access.authenticate(token).await;
    let claims = claims.map_err(|error| {
        let reason = match error {
            AccessError::Missing => "an access token is needed, as `Authorization: Bearer …`".to_owned(),
            other => other.to_string(),
        };
        (StatusCode::UNAUTHORIZED, reason)
    })?;
    let (place, limit) = parse(query).map_err(|reason| (StatusCode::BAD_REQUEST, reason))?;
    let Some(_seat) = engine.readers.sit(claims.sub) else {
        let reason = format!("{PAGES_AT_ONCE} pages at once are allowed: wait for one");
        return Err((StatusCode::TOO_MANY_REQUESTS, reason));
    };
    match engine.memberships.check(room, claims.sub).await {
        Ok(true) => {}
        Ok(false) => {
            return Err((StatusCode::FORBIDDEN, format!("you are not a member of room {room}")));
        }
        Err(error) => {
            tracing::error!(%error, %room, "membership cannot be checked");
            let reason = "memberships cannot be checked at the moment".to_owned();
            return Err((StatusCode::SERVICE_UNAVAILABLE, reason));
        }
    }
    if !engine.caught_up.load(Ordering::Relaxed) {
        // A subscriber would get the rest live; nobody tells this client.
        return Err((StatusCode::SERVICE_UNAVAILABLE, "catching up with the log".to_owned()));
    }
    let (reply, page) = oneshot::channel();
    engine.shards.send(room, Input::Page { room, place, limit, reply });
    // A shard ends only with the node.
    let page = page.await.unwrap_or(Err(Unavailable));
    let page = page.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(write(&page))
}

/// The page as JSON. Bodies are JSON already.
fn write(page: &MessagePage) -> String {
    let mut out = String::from(r#"{"messages":["#);
    for (n, record) in page.records.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let body = String::from_utf8_lossy(&record.draft.body);
        // Writing to memory cannot fail, here and below.
        let _ = write!(out, r#"{comma}{{"seq":{},"body":{body}}}"#, record.seq);
    }
    let _ = write!(out, r#"],"older":{},"newer":{}}}"#, page.older, page.newer);
    out
}

fn parse(query: &str) -> Result<(Place, u16), String> {
    let (mut place, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let at = |make: fn(Seq) -> Place| {
            let seq = value.parse().map_err(|_| format!("{name} is {value:?}: expected a seq"))?;
            Ok::<_, String>(make(seq))
        };
        let named = match name {
            "before" => at(Place::Before)?,
            "after" => at(Place::After)?,
            "around" => at(Place::Around)?,
            "limit" => {
                let number = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                let number = number.ok_or_else(|| format!("limit is {value:?}: expected 1 to {MAX_PAGE}"))?;
                if limit.replace(number).is_some() {
                    return Err("limit is there more than once".to_owned());
                }
                continue;
            }
            _ => {
                return Err(format!(
                    "{name:?} is not a parameter: there are before, after, around and limit"
                ));
            }
        };
        if place.replace(named).is_some() {
            return Err("one of before, after and around is allowed".to_owned());
        }
    }
    Ok((place.unwrap_or(Place::Before(NEWEST)), limit.unwrap_or(DEFAULT_PAGE)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn json(status: StatusCode, body: &str) -> Reply {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_from_where_and_how_many() {
        let seq = |raw| Seq::from_raw(raw).unwrap();
        assert_eq!(parse(""), Ok((Place::Before(NEWEST), 50)));
        assert_eq!(parse("before=7"), Ok((Place::Before(seq(7)), 50)));
        assert_eq!(parse("limit=200&after=0"), Ok((Place::After(seq(0)), 200)));
        assert_eq!(parse("around=9&limit=1"), Ok((Place::Around(seq(9)), 1)));
        for (bad, named) in [
            ("before=x", "before is \"x\""),
            ("after=-1", "after is \"-1\""),
            ("limit=0", "limit is \"0\": expected 1 to 200"),
            ("limit=201", "limit is \"201\""),
            ("before=1&after=2", "one of before, after and around"),
            ("before", "before is \"\": expected a seq"),
            ("limit=5&after=", "after is \"\": expected a seq"),
            ("limit", "limit is \"\": expected 1 to 200"),
            ("limit=2&limit=3", "limit is there more than once"),
            ("newest", "\"newest\" is not a parameter"),
            ("befor=1", "\"befor\" is not a parameter"),
        ] {
            let reason = parse(bad).unwrap_err();
            assert!(reason.contains(named), "{bad}: {reason}");
        }
    }

    #[test]
    fn only_the_messages_of_a_room_are_served() {
        assert_eq!(room_of("/rooms/7/messages").map(RoomId::get), Some(7));
        for other in ["/rooms/7", "/rooms/x/messages", "/rooms/0/messages", "/rooms/7/messages/", "/rooms"] {
            assert_eq!(room_of(other), None, "{other}");
        }
    }
}
