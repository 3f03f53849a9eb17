//! What a connected client may ask for, checked and turned into something to do.

use std::sync::Arc;

use shared::{RoomId, Seq};
use stomp::{Ack, ByteString, Headers, Send, Subscribe, session::Violation};

use crate::{record::Posted, shard::Feed};

/// The longest `client-id`, in bytes: a UUID has 36.
const MAX_CLIENT_ID: usize = 64;
/// The most messages of one page of history.
const MAX_PAGE: u16 = 200;
/// The messages of a page when the client does not say.
const DEFAULT_PAGE: u16 = 50;

/// Why a request is refused. The ERROR's `message` is [`title`](Self::title), its body the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Protocol(#[from] Violation),
    #[error("{0}")]
    NotAllowed(String),
    #[error("history needs a subscription to the room")]
    NoSubscription,
    #[error("a connection may SEND or SUBSCRIBE {per_second} times a second, and {burst} times at once")]
    TooFast { per_second: u32, burst: u32 },
    #[error("a transaction may not SEND to {0:?}")]
    NotInTransaction(ByteString),
    #[error("you are not a member of room {0}")]
    NotAMember(RoomId),
    #[error("there is no destination {0:?} to {1}")]
    Destination(ByteString, &'static str),
    #[error("the header {header:?} is {value:?}: {expected}")]
    Header { header: &'static str, value: ByteString, expected: String },
    #[error("the body is not {{\"content\": \"…\"}}: {0}")]
    Body(String),
    #[error("the message is empty")]
    Empty,
    #[error("the message is {length} bytes long; {limit} are allowed")]
    TooLong { length: usize, limit: usize },
    #[error("{0}")]
    TryAgain(String),
}

impl Refusal {
    pub(super) const fn title(&self) -> &'static str {
        match self {
            Self::Protocol(violation) => violation.title(),
            Self::NotAllowed(_) => "not allowed",
            Self::NoSubscription => "no subscription",
            Self::TooFast { .. } => "too fast",
            Self::NotInTransaction(_) => "not in a transaction",
            Self::NotAMember(_) => "not a member",
            Self::Destination(..) => "unknown destination",
            Self::Header { .. } => "bad header",
            Self::Body(_) | Self::Empty => "bad body",
            Self::TooLong { .. } => "message too long",
            Self::TryAgain(_) => "try again",
        }
    }

    /// Whether the client may live on, if it has subscribed to where it is told.
    pub(super) const fn is_protocol(&self) -> bool {
        matches!(self, Self::Protocol(_))
    }
}

/// Where refusals and news about the connection go.
pub(super) const ERRORS: &str = "/user/queue/errors";
/// Where a fresh access token is sent to.
const TOKEN: &str = "/app/token";

/// A SEND that is understood.
#[derive(Debug)]
pub(super) enum Sending {
    Message {
        room: RoomId,
        client_id: Option<ByteString>,
        content: String,
    },
    History {
        room: RoomId,
        subscription: Option<ByteString>,
        before: Seq,
        limit: u16,
    },
    /// To `/topic/{name}`, as it is.
    Topic(Send),
    /// A fresh access token.
    Token(Option<ByteString>),
}

/// A SUBSCRIBE that is understood.
#[derive(Debug)]
pub(super) enum Following {
    Room {
        room: RoomId,
        feed: Feed,
        history: u16,
    },
    /// `/topic/{name}`; the whole destination.
    Topic(Arc<str>),
    /// `/user/queue/errors`.
    Errors,
}

impl Sending {
    pub(super) fn parse(send: Send, max_content: usize, topics: bool) -> Result<Self, Refusal> {
        let destination = &send.destination;
        if topics && is_topic(destination) {
            return Ok(Self::Topic(send));
        }
        if &**destination == TOKEN {
            let of_body = || ByteString::try_from(send.body.clone()).ok().filter(|body| !body.is_empty());
            return Ok(Self::Token(stomp::access_token(&send.headers).or_else(of_body)));
        }
        if let Some(room) = destination.strip_prefix("/app/chat/").and_then(|room| room.parse().ok()) {
            let client_id = client_id(&send.headers)?;
            let posted: Posted<'_> =
                serde_json::from_slice(&send.body).map_err(|error| Refusal::Body(error.to_string()))?;
            let content = posted.content.into_owned();
            if content.trim().is_empty() {
                return Err(Refusal::Empty);
            }
            if content.len() > max_content {
                return Err(Refusal::TooLong { length: content.len(), limit: max_content });
            }
            return Ok(Self::Message { room, client_id, content });
        }
        if let Some(room) = destination.strip_prefix("/app/history/").and_then(|room| room.parse().ok()) {
            let before = number(&send.headers, "before", "a seq", |text| text.parse().ok())?;
            let limit = number(&send.headers, "limit", &page_range(), page_size)?;
            return Ok(Self::History {
                room,
                subscription: send.headers.first("subscription").cloned(),
                before: before.or_else(|| Seq::from_raw(i64::MAX)).unwrap_or_default(),
                limit: limit.unwrap_or(DEFAULT_PAGE),
            });
        }
        Err(Refusal::Destination(destination.clone(), "SEND to"))
    }

    /// The room whose members may do this.
    pub(super) const fn room(&self) -> Option<RoomId> {
        match self {
            Self::Message { room, .. } | Self::History { room, .. } => Some(*room),
            Self::Topic(_) | Self::Token(_) => None,
        }
    }
}

/// `/topic/` and a name.
fn is_topic(destination: &str) -> bool {
    destination.strip_prefix("/topic/").is_some_and(|name| !name.is_empty())
}

impl Following {
    pub(super) fn parse(subscribe: &Subscribe, topics: bool) -> Result<Self, Refusal> {
        let destination = &subscribe.destination;
        if topics && is_topic(destination) {
            return Ok(Self::Topic((**destination).into()));
        }
        if &**destination == ERRORS {
            only_auto(subscribe, ERRORS)?;
            return Ok(Self::Errors);
        }
        let of = |prefix: &str| destination.strip_prefix(prefix).and_then(|room| room.parse().ok());
        let (room, feed) = match (of("/chat/"), of("/chatalarm/")) {
            (Some(room), _) => (room, Feed::Chat),
            (_, Some(room)) => (room, Feed::Alarm),
            (None, None) => return Err(Refusal::Destination(destination.clone(), "SUBSCRIBE to")),
        };
        only_auto(subscribe, "a chat room")?;
        if let Some(value) = subscribe.headers.first("after").cloned() {
            // Not to be passed over in silence: the client would believe that it has missed nothing.
            let expected = "resuming is not supported yet, ask for history".into();
            return Err(Refusal::Header { header: "after", value, expected });
        }
        let expected = format!("expected 0 to {MAX_PAGE}");
        let history = number(&subscribe.headers, "history", &expected, |text| {
            if text == "0" { Some(0) } else { page_size(text) }
        })?;
        Ok(Self::Room { room, feed, history: history.unwrap_or(0) })
    }

    /// The room whose members may do this.
    pub(super) const fn room(&self) -> Option<RoomId> {
        match self {
            Self::Room { room, .. } => Some(*room),
            Self::Topic(_) | Self::Errors => None,
        }
    }
}

/// Messages that bring no `ack` cannot be acknowledged.
fn only_auto(subscribe: &Subscribe, what: &str) -> Result<(), Refusal> {
    if subscribe.ack == Ack::Auto {
        return Ok(());
    }
    let value = subscribe.headers.first("ack").cloned().unwrap_or_default();
    Err(Refusal::Header { header: "ack", value, expected: format!("{what} supports only auto") })
}

fn client_id(headers: &Headers) -> Result<Option<ByteString>, Refusal> {
    match headers.first("client-id") {
        Some(value) if value.is_empty() || value.len() > MAX_CLIENT_ID => Err(Refusal::Header {
            header: "client-id",
            value: value.chars().take(MAX_CLIENT_ID).collect::<String>().into(),
            expected: format!("1 to {MAX_CLIENT_ID} bytes are allowed"),
        }),
        value => Ok(value.cloned()),
    }
}

fn page_size(text: &str) -> Option<u16> {
    text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit))
}

fn page_range() -> String {
    format!("expected 1 to {MAX_PAGE}")
}

fn number<T>(
    headers: &Headers,
    header: &'static str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let Some(value) = headers.first(header) else { return Ok(None) };
    match parse(value) {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::Header { header, value: value.clone(), expected: expected.to_owned() }),
    }
}
