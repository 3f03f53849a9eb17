//! What a peer can do wrong.

/// Why a connection has to be closed: the peer broke a rule of the protocol, or sent more than it may.
///
/// What follows in the stream has no meaning any more. RFC 6455 §7.1.7 "Fail the WebSocket Connection": send a
/// close frame with [`close_code`](Self::close_code) and this as its reason, then close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Violation {
    #[error("a reserved bit is set that no agreed extension uses here")]
    ReservedBit,
    #[error("the opcode {0:#x} is reserved")]
    ReservedOpCode(u8),
    #[error("a frame from a client is not masked")]
    NotMasked,
    #[error("a frame from a server is masked")]
    Masked,
    #[error("a control frame is fragmented")]
    ControlFragmented,
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    #[error("a continuation frame continues nothing")]
    NothingToContinue,
    #[error("a new message begins inside a fragmented one")]
    MessageInMessage,
    #[error("the length of a frame is not written in its shortest form")]
    LengthNotShortest,
    #[error("the length of a frame has its highest bit set")]
    LengthTopBit,
    #[error("a close frame with a payload of one byte")]
    CloseOneByte,
    #[error("the close code {0} must not be sent")]
    CloseCode(u16),
    #[error("a close reason is not UTF-8")]
    CloseReasonNotUtf8,
    #[error("a text message is not UTF-8")]
    NotUtf8,
    #[error("a compressed message is not DEFLATE data")]
    NotDeflate,
    #[error("a message is longer than {0} bytes")]
    TooLong(usize),
}

impl Violation {
    /// The status code to close with (RFC 6455 §7.4.1): 1002, 1007 or 1009.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::CloseReasonNotUtf8 | Self::NotUtf8 | Self::NotDeflate => 1007,
            Self::TooLong(_) => 1009,
            _ => 1002,
        }
    }
}
