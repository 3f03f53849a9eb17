//! A frame as it was sent: a command, headers, a body.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

macro_rules! commands {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// The command of a frame, client's and server's alike.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is the frame of that name in the specification")]
        pub enum Command { $($variant),* }

        impl Command {
            /// As it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            pub(crate) fn from_bytes(name: &[u8]) -> Option<Self> {
                $(if name == $name.as_bytes() { return Some(Self::$variant); })*
                None
            }
        }
    };
}

commands! {
    Send = "SEND", Message = "MESSAGE", Receipt = "RECEIPT",
    Subscribe = "SUBSCRIBE", Unsubscribe = "UNSUBSCRIBE", Ack = "ACK", Nack = "NACK",
    Connect = "CONNECT", Stomp = "STOMP", Connected = "CONNECTED", Disconnect = "DISCONNECT", Error = "ERROR",
    Begin = "BEGIN", Commit = "COMMIT", Abort = "ABORT",
}

impl Command {
    /// The headers of CONNECT and CONNECTED are never escaped, so that versions can be agreed on at all
    /// (STOMP 1.2 "Value Encoding"), and STOMP is handled as CONNECT is.
    pub(crate) const fn is_escaped(self) -> bool {
        !matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Headers in the order they came. Where one is repeated the first counts
/// (STOMP 1.2 "Repeated Header Entries").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(ByteString, ByteString)>);

impl Headers {
    /// The value of the first header of that name.
    pub fn first(&self, name: &str) -> Option<&ByteString> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All of them, repeated ones too.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all names and values.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub(crate) fn push(&mut self, name: ByteString, value: ByteString) {
        self.0.push((name, value));
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub command: Command,
    /// Its headers, unescaped.
    pub headers: Headers,
    /// Its body; shares the memory of the bytes it came in.
    pub body: Bytes,
}
