//! How a client can break the protocol.

use bytestring::ByteString;

use crate::{DecodeError, RequestError, Version};

/// Why a client's connection ends with an ERROR. The text is the ERROR's body; [`title`](Self::title) its
/// `message`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Violation {
    #[error(transparent)]
    Frame(#[from] DecodeError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("supported protocol versions are {}", Version::SUPPORTED)]
    NoCommonVersion,
    #[error("the first frame is CONNECT or STOMP")]
    NotConnected,
    #[error("CONNECT came twice")]
    ConnectedTwice,
    #[error("the subscription {0:?} is there already")]
    SubscriptionTaken(ByteString),
    #[error("there is no subscription {0:?}")]
    NoSubscription(ByteString),
    #[error("a connection may have {0} subscriptions at a time")]
    TooManySubscriptions(usize),
    #[error("the transaction {0:?} has begun already")]
    TransactionTaken(ByteString),
    #[error("there is no transaction {0:?}")]
    NoTransaction(ByteString),
    #[error("a connection may have {0} transactions at a time")]
    TooManyTransactions(usize),
    #[error("the transactions of a connection may hold {0} frames")]
    TransactionFrames(usize),
    #[error("the transactions of a connection may hold {0} bytes")]
    TransactionBytes(usize),
    #[error("no message {0:?} was delivered that waits for an acknowledgement")]
    NotDelivered(ByteString),
}

impl Violation {
    /// In a word or two.
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Frame(DecodeError::FrameTooLong(_)) => "frame too long",
            Self::Frame(DecodeError::HeadersTooLong(_)) => "headers too long",
            Self::Frame(DecodeError::TooManyHeaders(_)) => "too many headers",
            Self::NoCommonVersion => "version not supported",
            Self::TooManySubscriptions(_) => "too many subscriptions",
            Self::TooManyTransactions(_) => "too many transactions",
            Self::TransactionFrames(_) | Self::TransactionBytes(_) => "transaction too large",
            _ => "protocol violation",
        }
    }
}
