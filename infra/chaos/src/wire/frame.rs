//! STOMP 1.2 frames as text, written from the specification alone.

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its command.
    pub command: String,
    /// Its headers, in order; of two of a name the first counts.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Frame {
    /// The header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The header's value as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.header(name)?.parse().ok()
    }
}

/// The text of a frame.
pub(super) fn write(command: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{command}\n");
    for (name, value) in headers {
        // CONNECT alone knows no escapes; none of its values needs one.
        text.extend([&escape(name), ":", &escape(value), "\n"]);
    }
    text + &format!("content-length:{}\n\n{body}\0", body.len())
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\r', "\\r").replace('\n', "\\n").replace(':', "\\c")
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next()? {
                'r' => '\r',
                'n' => '\n',
                'c' => ':',
                '\\' => '\\',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(plain)
}

/// Bytes as they come, frames as they are complete.
#[derive(Debug, Default)]
pub(super) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Adds what has come.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is there. The error says what no frame can be.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, String> {
        // Line feeds between frames are heart-beats.
        let beats = self.bytes.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        self.bytes.drain(..beats);
        let Some(head_end) = find(&self.bytes, b"\n\n") else { return Ok(None) };
        let head = std::str::from_utf8(&self.bytes[..head_end]).map_err(|error| error.to_string())?;
        let mut lines = head.lines();
        let command = lines.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("a header without a colon: {line}"))?;
            let pair = unescape(name).zip(unescape(value));
            headers.push(pair.ok_or_else(|| format!("an unknown escape: {line}"))?);
        }
        let body_start = head_end + 2;
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse());
        let body_end = match length {
            Some(Ok(length)) => body_start + usize::min(length, usize::MAX / 2),
            Some(Err(_)) => return Err("a content-length that is no number".to_owned()),
            None => match find(&self.bytes[body_start..], b"\0") {
                Some(length) => body_start + length,
                None => return Ok(None),
            },
        };
        match self.bytes.get(body_end) {
            None => return Ok(None),
            Some(0) => {}
            Some(_) => return Err(format!("{command} is not ended by a NUL")),
        }
        let body = std::str::from_utf8(&self.bytes[body_start..body_end]);
        let body = body.map_err(|error| error.to_string())?.to_owned();
        self.bytes.drain(..=body_end);
        Ok(Some(Frame { command, headers, body }))
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_wherever_it_is_cut() {
        let text = format!("\n{}{}", write("SEND", &[("a:b", "c\\d\ne")], "모이\0자"), write("X", &[], ""));
        for cut in 0..text.len() {
            let mut reader = Reader::default();
            let mut frames = Vec::new();
            for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                reader.feed(part);
                while let Some(frame) = reader.next().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 2);
            assert_eq!(frames[0].header("a:b"), Some("c\\d\ne"));
            assert_eq!((frames[0].body.as_str(), frames[1].command.as_str()), ("모이\0자", "X"));
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for text in ["A\nb\n\n\0", "A\nb:\\t\n\n\0", "A\ncontent-length:1\n\nbc\0"] {
            let mut reader = Reader::default();
            reader.feed(text.as_bytes());
            assert!(reader.next().is_err(), "{text:?}");
        }
    }
}
