//! What the specifications require of a server, and of clients where a server can tell.

mod rfc6455;
mod v10;
mod v11;
mod v12;

use crate::stage::Stage;

/// A version of STOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V10,
    V11,
    V12,
}

/// How binding a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Must,
    MustNot,
    Should,
    ShouldNot,
    May,
    /// A sentence that says how it is, without a key word of RFC 2119.
    Plain,
}

/// A sentence of a specification.
#[derive(Clone, Copy)]
pub(crate) struct Requirement {
    /// The document.
    pub(crate) document: Document,
    /// The version of STOMP in which its case talks.
    pub(crate) version: Version,
    pub(crate) section: &'static str,
    pub(crate) level: Level,
    pub(crate) text: &'static str,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Stomp10,
    Stomp11,
    Stomp12,
    Rfc6455,
}

/// How a requirement is shown to be met, or why it is not to be shown.
#[derive(Clone, Copy)]
pub(crate) enum How {
    Case(Case),
    Reason(&'static str),
}

#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    pub(crate) run: fn(&Stage),
}

impl Version {
    /// As `version` spells it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::V10, Self::V11, Self::V12].into_iter().find(|version| version.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V10 => "1.0",
            Self::V11 => "1.1",
            Self::V12 => "1.2",
        }
    }

    pub(crate) fn subprotocol(self) -> &'static str {
        match self {
            Self::V10 => "v10.stomp",
            Self::V11 => "v11.stomp",
            Self::V12 => "v12.stomp",
        }
    }
}

impl Document {
    /// Begins the names of its cases.
    fn short(self) -> &'static str {
        match self {
            Self::Stomp10 => "stomp_1_0",
            Self::Stomp11 => "stomp_1_1",
            Self::Stomp12 => "stomp_1_2",
            Self::Rfc6455 => "rfc_6455",
        }
    }
}

impl Requirement {
    /// The full name of its case.
    pub(crate) fn test(&self) -> Option<String> {
        match self.how {
            How::Case(case) => Some(format!("{}::{}", self.document.short(), case.name)),
            How::Reason(_) => None,
        }
    }
}

/// A table: sections, and in each the level of a requirement, its sentence, and then the case that shows it in
/// brackets or the reason why there is none in parentheses.
macro_rules! requirements {
    ($document:ident in $version:ident; $($section:literal { $($level:ident $text:literal $how:tt)* })*) => {
        pub(crate) const REQUIREMENTS: &[crate::requirements::Requirement] = &[$($(
            crate::requirements::Requirement {
                document: crate::requirements::Document::$document,
                version: crate::requirements::Version::$version,
                section: $section,
                level: crate::requirements::level!($level),
                text: $text,
                how: crate::requirements::how!($how),
            },
        )*)*];
    };
}

macro_rules! level {
    (MUST) => {
        crate::requirements::Level::Must
    };
    (MUST_NOT) => {
        crate::requirements::Level::MustNot
    };
    (SHOULD) => {
        crate::requirements::Level::Should
    };
    (SHOULD_NOT) => {
        crate::requirements::Level::ShouldNot
    };
    (MAY) => {
        crate::requirements::Level::May
    };
    (PLAIN) => {
        crate::requirements::Level::Plain
    };
}

macro_rules! how {
    ([$module:ident::$case:ident]) => {
        crate::requirements::How::Case(crate::requirements::Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            run: crate::cases::$module::$case,
        })
    };
    (($reason:literal)) => {
        crate::requirements::How::Reason($reason)
    };
}
pub(crate) use {how, level, requirements};

/// Every requirement, in the order of the page.
pub(crate) fn all() -> Vec<Requirement> {
    [v12::REQUIREMENTS, v11::REQUIREMENTS, v10::REQUIREMENTS, rfc6455::REQUIREMENTS].concat()
}
