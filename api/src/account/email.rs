//! E-mail addresses.

use crate::input::Flaw;

/// An address that mail can be sent to, as it was typed but for its case: everybody but the owner of a mail
/// server treats `Kim@…` and `kim@…` as one, and so does the unique index.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct Email(String);

impl Email {
    /// Accepts what RFC 5321 calls a dot-string mailbox at a domain name, in ASCII. Whether it exists is
    /// shown by the code that is mailed to it, so nothing cleverer is worth its false refusals.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        let text = text.trim().to_ascii_lowercase();
        let flaw = || Flaw::new("format", "is not an e-mail address");
        if text.is_empty() {
            return Err(Flaw::new("required", "is missing"));
        }
        let (local, domain) = text.rsplit_once('@').ok_or_else(flaw)?;
        // RFC 5321 §4.5.3.1: 64 octets, 255 octets, and 254 for the whole (errata 1690).
        let lengths =
            (1..=64).contains(&local.len()) && (1..=255).contains(&domain.len()) && text.len() <= 254;
        let atoms = local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
        let labels = domain.contains('.') && domain.split('.').all(is_label);
        if lengths && atoms && labels { Ok(Self(text)) } else { Err(flaw()) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 5322 §3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_text() {
        for good in ["a@b.kr", " Kim.Mina+moyiza@mail.example.com ", "o'neil@x-y.org"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        assert_eq!(Email::parse("Kim@Example.COM").unwrap().as_str(), "kim@example.com");
        let long = format!("{}@b.kr", "a".repeat(65));
        for bad in [
            "",
            "a",
            "@b.kr",
            "a@",
            "a@b",
            "a@-b.kr",
            "a b@c.kr",
            "a..b@c.kr",
            "a@b..kr",
            "a@b.kr\r\nX: y",
            &long,
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }
}
