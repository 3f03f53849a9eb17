//! Passwords, before they are hashed.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::input::Flaw;

/// A password somebody chose: 8 to 64 characters. It is neither printed nor compared, only hashed.
pub(crate) struct Password(String);

impl Password {
    /// NFKC before counting and hashing, so that the same keys pressed on another machine are the same
    /// password (NIST SP 800-63B §5.1.1.2).
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        let password = normalized(text);
        match password.chars().count() {
            0 => Err(Flaw::new("required", "is missing")),
            1..8 => Err(Flaw::new("too-short", "has at least 8 characters")),
            8..=64 => Ok(Self(password)),
            _ => Err(Flaw::new("too-long", "has at most 64 characters")),
        }
    }

    /// A password tried at log-in: anything, since whether it would be accepted today is nobody's business.
    /// Cut where no accepted password reaches, so that a megabyte is not hashed.
    pub(crate) fn tried(text: &str) -> Self {
        Self(normalized(text).chars().take(65).collect())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn normalized(text: &str) -> String {
    text.nfkc().collect()
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
