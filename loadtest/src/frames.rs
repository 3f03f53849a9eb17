//! Finds STOMP frames in bytes without taking them apart: a load generator that spends more on a delivery than
//! the server takes the machine away from it.

use memchr::{memchr, memchr_iter};

/// A frame where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// The first line.
    pub command: &'a [u8],
    /// The header lines as they came, escaped.
    pub headers: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl<'a> RawFrame<'a> {
    /// The value of the first header of that name, as it came.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.split(|&byte| byte == b'\n').find_map(|line| {
            let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
            Some(value.strip_suffix(b"\r").unwrap_or(value))
        })
    }
}

/// What the start of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    /// A whole frame, and how many bytes it took with the line ends before it.
    Frame(RawFrame<'a>, usize),
    /// Line ends, then perhaps the beginning of a frame: how many bytes of line ends.
    Incomplete(usize),
    /// Not STOMP.
    Malformed(&'static str),
}

/// Looks at the start of `bytes`.
pub fn scan(bytes: &[u8]) -> Scan<'_> {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    let frame = &bytes[start..];
    let mut content_length = None;
    let mut command_end = None;
    let mut line_start = 0;
    for line_end in memchr_iter(b'\n', frame) {
        let line = &frame[line_start..line_end];
        let Some(command_end) = command_end else {
            command_end = Some(line_end);
            line_start = line_end + 1;
            continue;
        };
        if line.is_empty() || line == b"\r" {
            let body_start = line_end + 1;
            let body_end = match content_length {
                Some(length) => body_start.saturating_add(length),
                None => match memchr(0, &frame[body_start..]) {
                    Some(length) => body_start + length,
                    None => return Scan::Incomplete(start),
                },
            };
            let command = &frame[..command_end];
            return match frame.get(body_end) {
                None => Scan::Incomplete(start),
                Some(0) => {
                    let command = command.strip_suffix(b"\r").unwrap_or(command);
                    // Without headers the empty line is the one behind the command.
                    let headers = &frame[command_end + 1..line_start.max(command_end + 1)];
                    let body = &frame[body_start..body_end];
                    Scan::Frame(RawFrame { command, headers, body }, start + body_end + 1)
                }
                Some(_) => Scan::Malformed("no NUL behind the body"),
            };
        }
        if content_length.is_none()
            && let Some(value) = line.strip_prefix(b"content-length:")
        {
            let value = value.strip_suffix(b"\r").unwrap_or(value);
            content_length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            if content_length.is_none() {
                return Scan::Malformed("content-length is not a number");
            }
        }
        line_start = line_end + 1;
    }
    Scan::Incomplete(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> (RawFrame<'_>, usize) {
        match scan(bytes) {
            Scan::Frame(frame, used) => (frame, used),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_are_found_one_behind_the_other() {
        let bytes =
            b"\n\r\nMESSAGE\nsubscription:0\ncontent-length:3\n\na\0b\0\nRECEIPT\r\nreceipt-id:7\r\n\r\n\0";
        let (message, used) = frame(bytes);
        assert_eq!(message.command, b"MESSAGE");
        assert_eq!(message.header("subscription"), Some(&b"0"[..]));
        assert_eq!(message.body, b"a\0b");
        let (receipt, rest) = frame(&bytes[used..]);
        assert_eq!(receipt.command, b"RECEIPT");
        assert_eq!(receipt.header("receipt-id"), Some(&b"7"[..]));
        assert_eq!(used + rest, bytes.len());
    }

    #[test]
    fn a_frame_without_headers_or_length_ends_at_its_nul() {
        let (error, used) = frame(b"ERROR\n\nno\0\n");
        assert_eq!((error.headers, error.body, used), (&b""[..], &b"no"[..], 10));
    }

    #[test]
    fn every_cut_is_incomplete() {
        let whole = b"MESSAGE\ncontent-length:2\n\n\0\0\0";
        for cut in 0..whole.len() {
            assert_eq!(scan(&whole[..cut]), Scan::Incomplete(0), "cut at {cut}");
        }
        assert_eq!(scan(b"\n\n"), Scan::Incomplete(2));
    }

    #[test]
    fn a_body_longer_than_its_length_is_malformed() {
        assert!(matches!(scan(b"MESSAGE\ncontent-length:1\n\nab\0"), Scan::Malformed(_)));
        assert!(matches!(scan(b"MESSAGE\ncontent-length:x\n\n\0"), Scan::Malformed(_)));
    }
}
