//! Nicknames.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::input::Flaw;

/// What everybody sees of a person: 2 to 16 letters as a reader counts them, without white space at its ends.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct Nickname(String);

impl Nickname {
    /// NFC, so that 가 typed on a Mac (two code points) is the 가 of everybody else.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        let name: String = text.trim().nfc().collect();
        if name.is_empty() {
            return Err(Flaw::new("required", "is missing"));
        }
        // Control and format characters (zero width, direction marks) make two names look like one. The
        // joiner is left for emoji.
        if name.chars().any(|c| c.is_control() || is_invisible(c)) || name.contains("  ") {
            return Err(Flaw::new("characters", "has characters that cannot be seen"));
        }
        match name.graphemes(true).count() {
            // A grapheme can be drawn out without end by combining marks.
            _ if name.chars().count() > 64 => Err(Flaw::new("too-long", "has at most 16 characters")),
            0..2 => Err(Flaw::new("too-short", "has at least 2 characters")),
            2..=16 => Ok(Self(name)),
            _ => Err(Flaw::new("too-long", "has at most 16 characters")),
        }
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_as_a_reader_counts() {
        assert!(Nickname::parse("가").is_err());
        assert!(Nickname::parse("민아").is_ok());
        assert!(Nickname::parse(&"가".repeat(16)).is_ok());
        assert!(Nickname::parse(&"가".repeat(17)).is_err());
        // One family is one character, though seven code points.
        assert!(Nickname::parse("👨‍👩‍👧‍👦").is_err());
        assert!(Nickname::parse("👨‍👩‍👧‍👦네").is_ok());
        assert!(Nickname::parse(&format!("a{}", "\u{301}".repeat(100))).is_err());
    }

    #[test]
    fn one_spelling_is_one_name() {
        // 가 as one code point and as two.
        assert_eq!(Nickname::parse("\u{1100}\u{1161}나").unwrap(), Nickname::parse("가나").unwrap());
        assert_eq!(Nickname::parse(" 가나 ").unwrap().0, "가나");
        for bad in ["", "가\u{200b}나", "가\n나", "가\u{202e}나", "\u{3164}\u{3164}"] {
            assert!(Nickname::parse(bad).is_err(), "{bad:?}");
        }
    }
}
