//! What a client's frame asks for.

use bytes::Bytes;
use bytestring::ByteString;

use crate::{Command, Frame, Headers, HeartBeat, HeartBeatError, Version};

/// A client's frame with every header it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the frame of that name in the specification")]
pub enum Request {
    Connect(Connect),
    Send(Send),
    Subscribe(Subscribe),
    /// By the subscription's id; in 1.0 by its destination if it has none.
    Unsubscribe(ByteString),
    /// ACK or NACK.
    Acknowledge(Acknowledgement),
    Begin(ByteString),
    Commit(ByteString),
    Abort(ByteString),
    Disconnect,
}

/// CONNECT or STOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// `accept-version`; a client that sends none speaks 1.0.
    pub accept_version: ByteString,
    /// `heart-beat`.
    pub heart_beat: HeartBeat,
    /// The token in `Authorization: Bearer …`, or else `passcode`.
    pub token: Option<ByteString>,
}

/// SEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Where to.
    pub destination: ByteString,
    /// The transaction it belongs to.
    pub transaction: Option<ByteString>,
    /// All headers.
    pub headers: Headers,
    /// What.
    pub body: Bytes,
}

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Names the subscription on its connection. Only 1.0 does without.
    pub id: Option<ByteString>,
    /// What to.
    pub destination: ByteString,
    /// Who acknowledges, and how.
    pub ack: Ack,
    /// All headers.
    pub headers: Headers,
}

impl Subscribe {
    /// The client's name for it: the `id`, or else (1.0 only) the destination.
    #[must_use]
    pub fn name(&self) -> &ByteString {
        self.id.as_ref().unwrap_or(&self.destination)
    }
}

/// ACK or NACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The subscription's id; 1.0 may leave it out.
    pub subscription: Option<ByteString>,
    /// The message's `message-id`.
    pub message: ByteString,
    /// NACK: the message was not consumed.
    pub negative: bool,
    /// The transaction it belongs to.
    pub transaction: Option<ByteString>,
}

/// The `ack` header of SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Sent is taken.
    Auto,
    /// An ACK takes its message and all before it.
    Client,
    /// An ACK takes its message.
    ClientIndividual,
}

/// Why a frame asks for nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum RequestError {
    #[error("{command} needs the header {header:?}")]
    MissingHeader { command: Command, header: &'static str },
    #[error("{0} is not a client's frame")]
    NotForServers(Command),
    #[error("STOMP {1} has no {0}")]
    NotInVersion(Command, Version),
    #[error("there is no message {0:?} to acknowledge")]
    AckId(ByteString),
    #[error("{0} has no body")]
    Body(Command),
    #[error("ack {0:?} is none of auto, client and client-individual")]
    Ack(ByteString),
    #[error(transparent)]
    HeartBeat(#[from] HeartBeatError),
}

impl Request {
    /// What `frame` asks for in `version`.
    pub fn parse(frame: Frame, version: Version) -> Result<Self, RequestError> {
        let Frame { command, headers, body } = frame;
        // STOMP 1.2 "Body": only these frames may have one. 1.0 does not say so.
        if !body.is_empty() && command != Command::Send && version > Version::V10 {
            return Err(RequestError::Body(command));
        }
        let optional = |header: &'static str| headers.first(header).map(|value| trim(value, version));
        let required =
            |header: &'static str| optional(header).ok_or(RequestError::MissingHeader { command, header });
        Ok(match command {
            Command::Connect | Command::Stomp => Self::Connect(Connect::parse(&headers)?),
            Command::Send => Self::Send(Send {
                destination: required("destination")?,
                transaction: optional("transaction"),
                headers,
                body,
            }),
            Command::Subscribe => Self::Subscribe(Subscribe {
                id: if version == Version::V10 { optional("id") } else { Some(required("id")?) },
                destination: required("destination")?,
                ack: Ack::parse(optional("ack").as_deref())?,
                headers,
            }),
            Command::Unsubscribe if version == Version::V10 => {
                Self::Unsubscribe(optional("id").map_or_else(|| required("destination"), Ok)?)
            }
            Command::Unsubscribe => Self::Unsubscribe(required("id")?),
            Command::Nack if version == Version::V10 => {
                return Err(RequestError::NotInVersion(command, version));
            }
            Command::Ack | Command::Nack => {
                let (subscription, message) = match version {
                    Version::V10 => (optional("subscription"), required("message-id")?),
                    Version::V11 => (Some(required("subscription")?), required("message-id")?),
                    Version::V12 => {
                        let id = required("id")?;
                        let (message, subscription) =
                            id.split_once(ACK_SEPARATOR).ok_or_else(|| RequestError::AckId(id.clone()))?;
                        (Some(id.slice_ref(subscription)), id.slice_ref(message))
                    }
                };
                let negative = command == Command::Nack;
                let transaction = optional("transaction");
                Self::Acknowledge(Acknowledgement { subscription, message, negative, transaction })
            }
            Command::Begin => Self::Begin(required("transaction")?),
            Command::Commit => Self::Commit(required("transaction")?),
            Command::Abort => Self::Abort(required("transaction")?),
            Command::Disconnect => Self::Disconnect,
            Command::Message | Command::Receipt | Command::Connected | Command::Error => {
                return Err(RequestError::NotForServers(command));
            }
        })
    }
}

/// Stands between the message's and the subscription's id in the `ack` header of a MESSAGE.
pub(crate) const ACK_SEPARATOR: char = '@';

/// 1.0's own examples pad values with spaces; later versions forbid to trim them.
fn trim(value: &ByteString, version: Version) -> ByteString {
    if version == Version::V10 { value.slice_ref(value.trim()) } else { value.clone() }
}

impl Connect {
    /// The newest of `supported` that the client speaks.
    pub fn negotiate(&self, supported: &[Version]) -> Option<Version> {
        Version::negotiate(&self.accept_version, supported)
    }

    fn parse(headers: &Headers) -> Result<Self, RequestError> {
        Ok(Self {
            accept_version: headers.first("accept-version").cloned().unwrap_or_else(|| "1.0".into()),
            heart_beat: headers
                .first("heart-beat")
                .map_or(Ok(HeartBeat::default()), |value| HeartBeat::parse(value))?,
            token: access_token(headers),
        })
    }
}

/// The token in `Authorization: Bearer …`, or else in `passcode`.
pub fn access_token(headers: &Headers) -> Option<ByteString> {
    let authorization = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let bearer = authorization.and_then(|(_, value)| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| ByteString::from(token.trim()))
    });
    bearer.or_else(|| headers.first("passcode").map(|passcode| passcode.slice_ref(passcode.trim())))
}

impl Ack {
    fn parse(header: Option<&str>) -> Result<Self, RequestError> {
        match header {
            None | Some("auto") => Ok(Self::Auto),
            Some("client") => Ok(Self::Client),
            Some("client-individual") => Ok(Self::ClientIndividual),
            Some(other) => Err(RequestError::Ack(other.chars().take(32).collect::<String>().into())),
        }
    }
}
