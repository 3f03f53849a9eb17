//! Why the engine ends a connection, and what the client should do about it.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Every reason for which the engine closes a connection that its client would have kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said DISCONNECT.
    Disconnected,
    /// The client broke the protocol, or asked for something it may not have; an ERROR said what.
    Refused,
    /// No CONNECT came in time.
    ConnectTimeout,
    /// The client's heart-beats stopped.
    HeartBeatMissed,
    /// The client reads too slowly for what it follows.
    TooSlow,
    /// The access token's life is over.
    TokenExpired,
    /// The session was signed out.
    SessionRevoked,
    /// No longer a member of a room it followed.
    NotAMember,
    /// The database that holds older messages does not answer.
    HistoryUnavailable,
    /// This node is going down.
    GoingAway,
}

impl CloseReason {
    /// What the close frame and the ERROR say.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Refused => "refused, do not reconnect unchanged",
            Self::ConnectTimeout => "no CONNECT in time, reconnect",
            Self::HeartBeatMissed => "heart-beat missed, reconnect and resume",
            Self::TooSlow => "too slow, reconnect and resume",
            Self::TokenExpired => "the access token has expired, reconnect with a fresh one",
            Self::SessionRevoked => "the session was signed out, do not reconnect",
            Self::NotAMember => "no longer a member of the room, do not subscribe again",
            Self::HistoryUnavailable => "history is unavailable, reconnect in a moment",
            Self::GoingAway => "the server is going away, reconnect and resume",
        }
    }

    /// Whether the same client may come back as it is, perhaps with a fresh token.
    pub const fn reconnect(self) -> bool {
        !matches!(self, Self::Disconnected | Self::Refused | Self::SessionRevoked | Self::NotAMember)
    }

    /// The close code of RFC 6455 §7.4.1, or one registered since.
    pub(super) const fn code(self) -> CloseCode {
        match self {
            Self::Disconnected => CloseCode::Normal,
            Self::Refused | Self::SessionRevoked | Self::NotAMember | Self::TokenExpired => CloseCode::Policy,
            Self::ConnectTimeout | Self::HeartBeatMissed | Self::TooSlow | Self::HistoryUnavailable => {
                CloseCode::Again
            }
            Self::GoingAway => CloseCode::Restart,
        }
    }

    /// Whether an ERROR frame goes before the close frame. A client that is too slow would not get it, one that
    /// was refused has it, one that disconnects needs none.
    pub(super) const fn has_error(self) -> bool {
        !matches!(self, Self::Disconnected | Self::Refused | Self::TooSlow)
    }
}
