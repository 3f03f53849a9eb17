//! Why the engine ends a connection, and what the client should do about it.

use websocket::Violation;

/// Every reason for which a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said DISCONNECT.
    Disconnected,
    /// The client closed the WebSocket, or is gone.
    PeerClosed,
    /// The client broke STOMP, or asked for something it may not have; an ERROR said what.
    Refused,
    /// What the client asked for cannot be done at the moment; an ERROR said what.
    TryAgain,
    /// The client broke RFC 6455; an ERROR said how.
    WebSocket(Violation),
    /// No CONNECT came in time.
    ConnectTimeout,
    /// The rest of a frame did not come in time.
    FrameTimeout,
    /// The client's heart-beats stopped.
    HeartBeatMissed,
    /// The client reads too slowly for what it follows.
    TooSlow,
    /// Too many messages wait for the client's acknowledgement.
    Unacknowledged,
    /// Messages of topics did not reach this node.
    MessagesLost,
    /// The person has as many connections as are allowed.
    TooManyConnections,
    /// The access token's life is over.
    TokenExpired,
    /// The session was signed out.
    SessionRevoked,
    /// The account was withdrawn.
    UserWithdrawn,
    /// No longer a member of a room it followed.
    NotAMember,
    /// Seems no longer to be a member of a room it followed, and PostgreSQL does not say.
    MembershipUnknown,
    /// Banned from a room it followed.
    Banned,
    /// A room it followed is there no more.
    RoomClosed,
    /// The database that holds older messages does not answer.
    HistoryUnavailable,
    /// It resumes from a place that this node has not seen.
    Behind,
    /// This node is going down.
    GoingAway,
    /// A fault of the engine's own.
    Internal,
}

/// What a reason is called, says and asks for, in one place.
struct Description {
    name: &'static str,
    code: u16,
    text: &'static str,
    reconnect: bool,
    /// Whether an ERROR frame goes before the close frame. A client that is too slow would not get it, one that was
    /// refused has it, one that leaves needs none.
    error: bool,
}

impl CloseReason {
    #[rustfmt::skip]
    const fn description(self) -> Description {
        // Codes of RFC 6455 §7.4.1, and of IANA's registry since.
        let (name, code, text, reconnect, error) = match self {
            Self::Disconnected => ("disconnected", 1000, "disconnected", false, false),
            Self::PeerClosed => ("peer-closed", 1000, "closed by the client", false, false),
            Self::Refused => ("refused", 1008, "refused, do not reconnect unchanged", false, false),
            Self::TryAgain => ("try-again", 1013, "not possible at the moment, reconnect and try again", true, false),
            Self::WebSocket(violation) =>
                ("websocket", violation.close_code(), "refused, do not reconnect unchanged", false, false),
            Self::ConnectTimeout => ("connect-timeout", 1013, "no CONNECT in time, reconnect (MOYIZA_CONNECT_TIMEOUT_MS)", true, true),
            Self::FrameTimeout => ("frame-timeout", 1013, "a frame took too long, reconnect and resume (MOYIZA_FRAME_TIMEOUT_MS)", true, true),
            Self::HeartBeatMissed => ("heart-beat", 1013, "heart-beat missed, reconnect and resume", true, true),
            Self::TooSlow => ("too-slow", 1013, "too slow, reconnect and resume (MOYIZA_MAX_QUEUED_BYTES)", true, false),
            Self::Unacknowledged =>
                ("unacknowledged", 1013, "too many messages wait for ACK, reconnect and resume (MOYIZA_MAX_UNACKNOWLEDGED)", true, true),
            Self::MessagesLost => ("messages-lost", 1013, "messages of topics were lost, reconnect", true, true),
            Self::TooManyConnections =>
                ("connections", 1008, "too many connections of this account, close one first (MOYIZA_MAX_CONNECTIONS_PER_USER)", false, true),
            Self::TokenExpired =>
                ("token", 1008, "the access token has expired, reconnect with a fresh one", true, true),
            Self::SessionRevoked => ("revoked", 1008, "the session was signed out, do not reconnect", false, true),
            Self::NotAMember =>
                ("membership", 1008, "no longer a member of the room, do not subscribe again", false, true),
            Self::MembershipUnknown =>
                ("membership-unknown", 1013, "a membership cannot be checked at the moment, reconnect and resume", true, true),
            Self::UserWithdrawn => ("withdrawn", 1008, "the account was withdrawn, do not reconnect", false, true),
            Self::Banned => ("banned", 1008, "banned from the room, do not subscribe again", false, true),
            Self::RoomClosed => ("room-closed", 1008, "the room was closed, do not subscribe again", false, true),
            Self::HistoryUnavailable =>
                ("history", 1013, "history is unavailable, reconnect in a moment", true, true),
            Self::Behind =>
                ("behind", 1013, "this node has not seen that place yet, reconnect and resume in a moment", true, true),
            Self::GoingAway => ("going-away", 1012, "the server is going away, reconnect and resume", true, true),
            Self::Internal => ("internal", 1011, "an internal error, reconnect and resume", true, true),
        };
        Description { name, code, text, reconnect, error }
    }

    /// A short name, for counting.
    pub const fn name(self) -> &'static str {
        self.description().name
    }

    /// What the close frame and the ERROR say.
    pub const fn text(self) -> &'static str {
        self.description().text
    }

    /// Whether the same client may come back as it is, perhaps with a fresh token.
    pub const fn reconnect(self) -> bool {
        self.description().reconnect
    }

    /// The close code.
    pub const fn code(self) -> u16 {
        self.description().code
    }

    /// Whether an ERROR frame goes before the close frame.
    pub(super) const fn has_error(self) -> bool {
        self.description().error
    }
}
