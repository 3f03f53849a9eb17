//! UTF-8 that arrives in parts.

use crate::Violation;

/// Checks text as it comes: an error is found at the first byte that cannot belong to any text, and only the
/// beginning of a split character is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    /// The beginning of a character that goes on in the next part.
    begun: [u8; 3],
    len: u8,
}

impl Utf8 {
    /// Takes the next part.
    pub(crate) fn check(&mut self, part: &[u8]) -> Result<(), Violation> {
        let part = if self.len == 0 { part } else { self.go_on(part)? };
        let Err(error) = str::from_utf8(part) else { return Ok(()) };
        let rest = &part[error.valid_up_to()..];
        // An error of known length cannot be mended by what follows; otherwise at most three bytes are left.
        if error.error_len().is_some() || rest.len() > self.begun.len() {
            return Err(Violation::NotUtf8);
        }
        for byte in rest {
            self.push(*byte);
        }
        Ok(())
    }

    /// Whether the text may end here.
    pub(crate) const fn is_complete(self) -> bool {
        self.len == 0
    }

    /// Completes the character that was begun; what is left of the part.
    fn go_on<'a>(&mut self, part: &'a [u8]) -> Result<&'a [u8], Violation> {
        let mut character = [0; 4];
        let begun = usize::from(self.len);
        character[..begun].copy_from_slice(&self.begun[..begun]);
        for (at, byte) in part.iter().enumerate() {
            // At most three bytes were begun, and the fourth either completes a character or is an error.
            character[begun + at] = *byte;
            match str::from_utf8(&character[..=begun + at]) {
                Ok(_) => {
                    self.len = 0;
                    return Ok(&part[at + 1..]);
                }
                Err(error) if error.error_len().is_some() => return Err(Violation::NotUtf8),
                Err(_) => self.push(*byte),
            }
        }
        Ok(&[])
    }

    fn push(&mut self, byte: u8) {
        self.begun[usize::from(self.len)] = byte;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[&[u8]]) -> Option<bool> {
        let mut utf8 = Utf8::default();
        for part in parts {
            utf8.check(part).ok()?;
        }
        Some(utf8.is_complete())
    }

    #[test]
    fn every_character_survives_every_cut() {
        for text in ["aé", "한글", "a🦀b", "\u{10ffff}\u{7ff}\u{800}\u{ffff}\u{10000}"] {
            let bytes = text.as_bytes();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    assert_eq!(check(&parts), Some(true), "{text} cut at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn what_no_text_can_begin_with_fails_at_once() {
        // A surrogate, one beyond U+10FFFF, an overlong form: each is over with its second byte.
        for bytes in [b"\xed\xa0", b"\xf4\x90", b"\xe0\x80", b"\xc0\xaf", b"\xf0\x80"] {
            assert_eq!(check(&[&bytes[..]]), None);
            assert_eq!(check(&[&bytes[..1], &bytes[1..]]), None);
        }
        assert_eq!(check(&[b"\xf5"]), None);
        assert_eq!(check(&[b"\x80"]), None);
    }

    #[test]
    fn a_character_without_its_end_is_incomplete() {
        assert_eq!(check(&[b"a\xf0\x9f", b"\xa6"]), Some(false));
    }
}
