//! What a connected client may ask for, checked and turned into something to do.

use std::sync::Arc;

use shared::{RoomId, Seq, UserId};
use stomp::{Ack, ByteString, Headers, Send, Subscribe, session::Violation};

use crate::{
    connection::CloseReason,
    record::{Draft, Posted},
    shard::{Feed, Place, ROOMS, Wanted},
};

/// The longest `client-id`, in bytes: a UUID has 36.
const MAX_CLIENT_ID: usize = 64;
/// The most messages of one page of history.
pub(crate) const MAX_PAGE: u16 = 200;
/// The messages of a page when the client does not say.
pub(crate) const DEFAULT_PAGE: u16 = 50;
/// What a header with a place in the log holds.
const SEQ: &str = "expected a seq";
/// Behind every record.
pub(crate) const NEWEST: Seq = Seq::new((1 << 13) - 1, (1 << 40) - 1);

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
    #[error("this cannot be in a transaction")]
    NotInTransaction,
    #[error("SEND {number} of the transaction, to {destination:?}: {refusal}")]
    Part { number: usize, destination: ByteString, refusal: Box<Self> },
    #[error("you are not a member of room {0}")]
    NotAMember(RoomId),
    #[error("there is no destination {0:?} to {1}")]
    Destination(ByteString, &'static str),
    #[error("the header {header:?} is {value:?}: {expected}")]
    Header { header: &'static str, value: ByteString, expected: String },
    #[error("the header {header:?} is missing: {expected}")]
    NoHeader { header: &'static str, expected: &'static str },
    #[error("the body is not {{\"content\": \"…\"}}: {0}")]
    Body(String),
    #[error("the message is empty")]
    Empty,
    #[error("the message is {length} bytes long; {limit} are allowed")]
    TooLong { length: usize, limit: usize },
    #[error("there is no message {seq} in room {room}")]
    NoSuchMessage { room: RoomId, seq: Seq },
    #[error("message {0} is somebody else's")]
    NotYours(Seq),
    #[error("message {0} is deleted")]
    Deleted(Seq),
    #[error("{0}")]
    TryAgain(String),
}

impl Refusal {
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Protocol(violation) => violation.title(),
            Self::NotAllowed(_) => "not allowed",
            Self::NoSubscription => "no subscription",
            Self::TooFast { .. } => "too fast",
            Self::NotInTransaction => "not in a transaction",
            Self::Part { refusal, .. } => refusal.title(),
            Self::NotAMember(_) => "not a member",
            Self::Destination(..) => "unknown destination",
            Self::Header { .. } | Self::NoHeader { .. } => "bad header",
            Self::Body(_) | Self::Empty => "bad body",
            Self::TooLong { .. } => "message too long",
            Self::NoSuchMessage { .. } => "no such message",
            Self::NotYours(_) => "not your message",
            Self::Deleted(_) => "message deleted",
            Self::TryAgain(_) => "try again",
        }
    }

    /// How a client ends that is not told elsewhere.
    pub(super) fn close_reason(&self) -> CloseReason {
        match self {
            Self::TryAgain(_) => CloseReason::TryAgain,
            Self::Part { refusal, .. } => refusal.close_reason(),
            _ => CloseReason::Refused,
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
    /// To a room's log.
    Log(Post),
    History {
        room: RoomId,
        subscription: Option<ByteString>,
        place: Place,
        limit: u16,
    },
    /// To `/topic/{name}`, as it is.
    Topic(Send),
    /// A fresh access token.
    Token(Option<ByteString>),
}

/// What a room's log is to hold.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) room: RoomId,
    pub(super) client_id: Option<ByteString>,
    pub(super) what: What,
}

/// What somebody does.
#[derive(Debug)]
pub(super) enum What {
    Say { reply_to: Option<Seq>, content: String },
    Edit { target: Seq, content: String },
    Delete { target: Seq },
}

impl Post {
    /// The record, by `user` and now.
    pub(super) fn draft(self, user: UserId) -> Draft {
        let Self { room, client_id, what } = self;
        match what {
            What::Say { reply_to, content } => Draft::message(room, user, client_id, reply_to, &content),
            What::Edit { target, content } => Draft::edited(room, user, target, client_id, &content),
            What::Delete { target } => Draft::deleted(room, user, target, client_id),
        }
    }

    fn parse(room: RoomId, verb: Verb, send: &Send, max_content: usize) -> Result<Self, Refusal> {
        let headers = &send.headers;
        let what = match verb {
            Verb::Say => {
                let reply_to = number(headers, "reply-to", SEQ, |text| text.parse().ok())?;
                What::Say { reply_to, content: content(&send.body, max_content)? }
            }
            Verb::Edit => What::Edit { target: target(headers)?, content: content(&send.body, max_content)? },
            Verb::Delete => What::Delete { target: target(headers)? },
        };
        Ok(Self { room, client_id: client_id(headers)?, what })
    }
}

/// What a SEND to a room's log asks for.
#[derive(Clone, Copy)]
enum Verb {
    Say,
    Edit,
    Delete,
}

/// A SUBSCRIBE that is understood.
#[derive(Debug)]
pub(super) enum Following {
    Room {
        room: RoomId,
        feed: Feed,
        wanted: Wanted,
    },
    /// `/topic/{name}`; the whole destination.
    Topic(Arc<str>),
    /// `/user/queue/errors`.
    Errors,
    /// `/user/queue/rooms`.
    Rooms,
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
        let of = |prefix: &str| destination.strip_prefix(prefix).and_then(|room| room.parse().ok());
        for (prefix, verb) in
            [("/app/chat/", Verb::Say), ("/app/edit/", Verb::Edit), ("/app/delete/", Verb::Delete)]
        {
            if let Some(room) = of(prefix) {
                return Post::parse(room, verb, &send, max_content).map(Self::Log);
            }
        }
        if let Some(room) = of("/app/history/") {
            let limit = number(&send.headers, "limit", &page_range(), page_size)?;
            return Ok(Self::History {
                room,
                subscription: send.headers.first("subscription").cloned(),
                place: place(&send.headers)?,
                limit: limit.unwrap_or(DEFAULT_PAGE),
            });
        }
        Err(Refusal::Destination(destination.clone(), "SEND to"))
    }

    /// The room whose members may do this.
    pub(super) const fn room(&self) -> Option<RoomId> {
        match self {
            Self::Log(Post { room, .. }) | Self::History { room, .. } => Some(*room),
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
        if &**destination == ROOMS {
            only_auto(subscribe, ROOMS)?;
            return Ok(Self::Rooms);
        }
        let of = |prefix: &str| destination.strip_prefix(prefix).and_then(|room| room.parse().ok());
        let (room, feed) = match (of("/chat/"), of("/chatalarm/")) {
            (Some(room), _) => (room, Feed::Chat),
            (_, Some(room)) => (room, Feed::Alarm),
            (None, None) => return Err(Refusal::Destination(destination.clone(), "SUBSCRIBE to")),
        };
        let after = number(&subscribe.headers, "after", SEQ, |text| text.parse().ok())?;
        let expected = format!("expected 0 to {MAX_PAGE}");
        let history = number(&subscribe.headers, "history", &expected, |text| {
            if text == "0" { Some(0) } else { page_size(text) }
        })?;
        Ok(Self::Room { room, feed, wanted: Wanted { after, history: history.unwrap_or(0) } })
    }

    /// The room whose members may do this.
    pub(super) const fn room(&self) -> Option<RoomId> {
        match self {
            Self::Room { room, .. } => Some(*room),
            Self::Topic(_) | Self::Errors | Self::Rooms => None,
        }
    }
}

/// Messages that bring no `ack` cannot be acknowledged. Of one's own notices nobody waits for that.
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

/// The text of a message.
fn content(body: &[u8], limit: usize) -> Result<String, Refusal> {
    let posted: Posted<'_> =
        serde_json::from_slice(body).map_err(|error| Refusal::Body(error.to_string()))?;
    let content = posted.content.into_owned();
    if content.trim().is_empty() {
        return Err(Refusal::Empty);
    }
    if content.len() > limit {
        return Err(Refusal::TooLong { length: content.len(), limit });
    }
    Ok(content)
}

/// The message that is changed.
fn target(headers: &Headers) -> Result<Seq, Refusal> {
    let missing = || Refusal::NoHeader { header: "seq", expected: SEQ };
    number(headers, "seq", SEQ, |text| text.parse().ok())?.ok_or_else(missing)
}

/// From where a page is: the newest without a header.
fn place(headers: &Headers) -> Result<Place, Refusal> {
    let mut found = None;
    for header in ["before", "after", "around"] {
        let Some(seq) = number(headers, header, SEQ, |text| text.parse().ok())? else { continue };
        let place = match header {
            "before" => Place::Before(seq),
            "after" => Place::After(seq),
            _ => Place::Around(seq),
        };
        if found.replace(place).is_some() {
            let value = headers.first(header).cloned().unwrap_or_default();
            let expected = "one of before, after and around is allowed".to_owned();
            return Err(Refusal::Header { header, value, expected });
        }
    }
    Ok(found.unwrap_or(Place::Before(NEWEST)))
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
