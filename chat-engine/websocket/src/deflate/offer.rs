//! What a client offers in `Sec-WebSocket-Extensions` (RFC 6455 §9.1, RFC 7692 §7.1).

/// An offer that can be accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) server_max_window_bits: Option<u8>,
}

/// Parses one offer. `None` for another extension, and for an offer with a parameter that is unknown, repeated or
/// has a value it cannot have: those are declined (RFC 7692 §7.1).
pub(super) fn parse(offer: &str) -> Option<Offer> {
    let mut parts = split(offer, ';').map(str::trim);
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let mut seen = [false; 4];
    let mut parsed = Offer::default();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquote(value.trim_start())?)),
            None => (part, None),
        };
        let parameter = match (name, value) {
            ("server_no_context_takeover", None) => 0,
            ("client_no_context_takeover", None) => 1,
            ("server_max_window_bits", Some(bits)) => {
                // zlib cannot compress with a window of 256 bytes: it would silently take 512.
                parsed.server_max_window_bits = Some(window_bits(bits).filter(|bits| *bits > 8)?);
                2
            }
            ("client_max_window_bits", bits) => {
                if let Some(bits) = bits {
                    window_bits(bits)?;
                }
                3
            }
            _ => return None,
        };
        if std::mem::replace(&mut seen[parameter], true) {
            return None;
        }
    }
    Some(parsed)
}

/// A number from 8 to 15, without leading zeros (RFC 7692 §7.1.2.1).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// A value may stand in quotes; what is inside must still be a token, so that nothing is escaped in it.
fn unquote(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(value),
    }
}

/// The parts between separators that do not stand in quotes.
pub(super) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    let mut escaped = false;
    text.split(move |c| {
        if escaped {
            escaped = false;
        } else {
            match c {
                '"' => in_quotes = !in_quotes,
                '\\' => escaped = in_quotes,
                _ => return c == separator && !in_quotes,
            }
        }
        false
    })
}
