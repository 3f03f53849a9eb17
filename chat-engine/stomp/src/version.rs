//! Protocol versions and how they are agreed on.

use std::fmt;

/// A version of STOMP. They differ in escaping, line ends and acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0.
    V10,
    /// STOMP 1.1.
    V11,
    /// STOMP 1.2.
    V12,
}

impl Version {
    /// Every version, newest first: the order of preference.
    pub const ALL: [Self; 3] = [Self::V12, Self::V11, Self::V10];

    /// All of them as the `version` header of an ERROR lists them.
    pub const SUPPORTED: &'static str = "1.0,1.1,1.2";

    /// As `accept-version` and `version` spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V10 => "1.0",
            Self::V11 => "1.1",
            Self::V12 => "1.2",
        }
    }

    /// The WebSocket sub-protocol of this version.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V10 => "v10.stomp",
            Self::V11 => "v11.stomp",
            Self::V12 => "v12.stomp",
        }
    }

    /// The version a WebSocket sub-protocol stands for.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.subprotocol() == name)
    }

    /// The newest version that the client names in `accept-version` and `supported` contains.
    pub fn negotiate(accept_version: &str, supported: &[Self]) -> Option<Self> {
        let offered = |version: &Self| accept_version.split(',').any(|name| name.trim() == version.as_str());
        Self::ALL.into_iter().filter(|version| supported.contains(version)).find(offered)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
