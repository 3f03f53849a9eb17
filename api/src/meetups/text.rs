//! The words of a meetup.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::input::Flaw;

/// 2 to 40 characters on one line.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
pub(super) struct Title(String);

/// At most 5,000 characters of plain text.
#[derive(sqlx::Type)]
#[sqlx(transparent)]
pub(super) struct Content(String);

impl Title {
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let title: String = text.trim().nfc().collect();
        if title.chars().any(char::is_control) {
            return Err(Flaw::new("characters", "is one line of text"));
        }
        match title.graphemes(true).count() {
            0 => Err(Flaw::new("required", "is missing")),
            1 => Err(Flaw::new("too-short", "has at least 2 characters")),
            2..=40 if title.len() <= 1_000 => Ok(Self(title)),
            _ => Err(Flaw::new("too-long", "has at most 40 characters")),
        }
    }
}

impl Content {
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let content: String = text.trim().nfc().collect();
        // NUL is the one character that PostgreSQL's text cannot hold.
        if content.contains('\0') {
            return Err(Flaw::new("characters", "is plain text"));
        }
        if content.chars().count() > 5_000 {
            return Err(Flaw::new("too-long", "has at most 5,000 characters"));
        }
        Ok(Self(content))
    }
}
