//! What a client's frame asks for.

use bytes::Bytes;
use bytestring::ByteString;

use crate::{Command, Frame, Headers, HeartBeat, HeartBeatError};

/// A client's frame with every header it must have, and the receipt it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the frame of that name in the specification")]
pub enum Request {
    Connect(Connect),
    Send(Send),
    Subscribe(Subscribe),
    Unsubscribe { id: ByteString },
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
    /// All headers.
    pub headers: Headers,
    /// What.
    pub body: Bytes,
}

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Names the subscription on its connection.
    pub id: ByteString,
    /// What to.
    pub destination: ByteString,
    /// Who acknowledges, and how.
    pub ack: Ack,
    /// All headers.
    pub headers: Headers,
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
    #[error("{0} is not supported")]
    Unsupported(Command),
    #[error("{0} has no body")]
    Body(Command),
    #[error("ack {0:?} is none of auto, client and client-individual")]
    Ack(ByteString),
    #[error(transparent)]
    HeartBeat(#[from] HeartBeatError),
}

impl Request {
    /// What `frame` asks for.
    pub fn parse(frame: Frame) -> Result<Self, RequestError> {
        let Frame { command, headers, body } = frame;
        // STOMP 1.2 "Body": only these frames may have one.
        if !body.is_empty() && command != Command::Send {
            return Err(RequestError::Body(command));
        }
        let required = |header: &'static str| {
            headers.first(header).cloned().ok_or(RequestError::MissingHeader { command, header })
        };
        Ok(match command {
            Command::Connect | Command::Stomp => Self::Connect(Connect::parse(&headers)?),
            Command::Send => Self::Send(Send { destination: required("destination")?, headers, body }),
            Command::Subscribe => Self::Subscribe(Subscribe {
                id: required("id")?,
                destination: required("destination")?,
                ack: Ack::parse(headers.first("ack"))?,
                headers,
            }),
            Command::Unsubscribe => Self::Unsubscribe { id: required("id")? },
            Command::Disconnect => Self::Disconnect,
            Command::Ack | Command::Nack | Command::Begin | Command::Commit | Command::Abort => {
                return Err(RequestError::Unsupported(command));
            }
            Command::Message | Command::Receipt | Command::Connected | Command::Error => {
                return Err(RequestError::NotForServers(command));
            }
        })
    }
}

impl Connect {
    fn parse(headers: &Headers) -> Result<Self, RequestError> {
        let bearer = headers.iter().find_map(|(name, value)| {
            if !name.eq_ignore_ascii_case("authorization") {
                return None;
            }
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| ByteString::from(token.trim()))
        });
        Ok(Self {
            accept_version: headers.first("accept-version").cloned().unwrap_or_else(|| "1.0".into()),
            heart_beat: headers
                .first("heart-beat")
                .map_or(Ok(HeartBeat::default()), |value| HeartBeat::parse(value))?,
            token: bearer.or_else(|| headers.first("passcode").cloned()),
        })
    }
}

impl Ack {
    fn parse(header: Option<&ByteString>) -> Result<Self, RequestError> {
        match header.map(|value| &**value) {
            None | Some("auto") => Ok(Self::Auto),
            Some("client") => Ok(Self::Client),
            Some("client-individual") => Ok(Self::ClientIndividual),
            Some(other) => Err(RequestError::Ack(other.into())),
        }
    }
}
