//! The payload of a close frame (RFC 6455 §5.5.1, §7.4).

use std::borrow::Cow;

use crate::Violation;

/// Why a peer closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// A code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    pub code: u16,
    /// For people, not for programs; often empty.
    pub reason: Cow<'a, str>,
}

impl<'a> CloseFrame<'a> {
    /// `None` for an empty payload: a peer need not give a reason.
    pub(crate) fn parse(payload: Cow<'a, [u8]>) -> Result<Option<Self>, Violation> {
        let code = match *payload {
            [] => return Ok(None),
            [_] => return Err(Violation::CloseOneByte),
            [high, low, ..] => u16::from_be_bytes([high, low]),
        };
        if !may_be_sent(code) {
            return Err(Violation::CloseCode(code));
        }
        let reason = match payload {
            Cow::Borrowed(payload) => str::from_utf8(&payload[2..]).ok().map(Cow::Borrowed),
            Cow::Owned(mut payload) => String::from_utf8(payload.split_off(2)).ok().map(Cow::Owned),
        };
        Ok(Some(Self { code, reason: reason.ok_or(Violation::CloseReasonNotUtf8)? }))
    }
}

/// RFC 6455 §7.4: 1004 has no meaning yet, 1005, 1006 and 1015 only exist inside an API, the rest below 3000 is
/// not defined. 1012 to 1014 came later, to the IANA registry that §11.7 sets up.
pub(crate) const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
