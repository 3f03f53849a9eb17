//! A server's frames, taken apart as plainly as the specifications describe them, and held to them on the way.

use std::fmt;

use crate::requirements::Version;

/// What a server has sent.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Frame(Frame),
    /// Outside a frame: a heart-beat, or a line end behind a frame.
    LineEnd,
}

/// A frame that obeys the grammar.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) command: String,
    /// The header lines as they came.
    pub(crate) lines: Vec<String>,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "\n{}\n{}\n\n{body}^@\n", self.command, self.lines.join("\n"))
    }
}

impl Frame {
    /// The value of a header: of the first of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a header that must be there.
    pub(crate) fn needs(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no header {name:?} in {self:?}"))
    }

    /// The value of a header as it came, for a frame that gives it back.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let values = self.lines.iter().filter_map(|line| line.split_once(':'));
        let mut values = values.filter(|(known, _)| *known == name).map(|(_, value)| value);
        values.next().unwrap_or_else(|| panic!("no header {name:?} in {self:?}"))
    }

    pub(crate) fn has_line(&self, line: &str) -> bool {
        self.lines.iter().any(|known| known == line)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// Takes the first item of `input`, if all of it is there. `version` is unknown before CONNECTED.
pub(crate) fn take(input: &mut Vec<u8>, version: Option<Version>) -> Option<Item> {
    if input.first()? == &b'\n' {
        input.remove(0);
        return Some(Item::LineEnd);
    }
    if version == Some(Version::V12) && input.starts_with(b"\r\n") {
        input.drain(..2);
        return Some(Item::LineEnd);
    }
    let mut rest = &input[..];
    let mut lines = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&rest[..end]).expect("commands and headers are UTF-8");
        // A carriage return ends a line in 1.2 only.
        let line = if version == Some(Version::V12) { line.strip_suffix('\r').unwrap_or(line) } else { line };
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let command = lines.remove(0);
    let headers: Vec<_> = lines.iter().map(|line| header(line, &command, version)).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value);
    let length = match length {
        Some(length) => length.parse().expect("content-length is a number"),
        None => rest.iter().position(|byte| *byte == 0)?,
    };
    if rest.len() <= length {
        return None;
    }
    assert_eq!(rest[length], 0, "a NUL ends {command}");
    let body = rest[..length].to_vec();
    let used = input.len() - rest.len() + length + 1;
    input.drain(..used);
    let frame = Frame { command, lines, headers, body };
    check(&frame);
    Some(Item::Frame(frame))
}

/// What holds for every frame of a server.
fn check(frame: &Frame) {
    match &*frame.command {
        "MESSAGE" | "ERROR" => {}
        "CONNECTED" | "RECEIPT" => {
            assert!(frame.body.is_empty(), "only MESSAGE and ERROR have bodies: {frame:?}");
        }
        _ => panic!("not a server's frame: {frame:?}"),
    }
}

fn header(line: &str, command: &str, version: Option<Version>) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
    assert!(!name.is_empty(), "no name in {line:?}");
    match version {
        Some(version @ (Version::V11 | Version::V12)) if command != "CONNECTED" => {
            assert!(!value.contains(':'), "a colon that is not escaped in {line:?}");
            (unescape(name, version), unescape(value, version))
        }
        _ => (name.to_owned(), value.to_owned()),
    }
}

fn unescape(text: &str, version: Version) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('c') => ':',
                Some('\\') => '\\',
                Some('r') if version == Version::V12 => '\r',
                other => panic!("\\{other:?} is not an escape of {version:?}, in {text:?}"),
            },
            other => other,
        });
    }
    out
}
