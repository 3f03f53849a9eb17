//! A reader of whole streams, written from the grammars ("Augmented BNF") of STOMP 1.0, 1.1 and 1.2 in the simplest
//! way that shows what each of them says. It knows nothing of limits and of pieces.
//!
//! It is lenient where every broker is: a value may hold colons (clients write `destination:/queue/a:b` in 1.1 and
//! 1.2 too, whose grammars want them escaped), and 1.2 may have a carriage return that ends no line.

use stomp::{Command, Version};

pub(crate) type Headers = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) command: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    BetweenFrames,
    MidFrame,
    Wrong,
}

/// What every version's frames and those of both sides are called.
pub(crate) const COMMANDS: [Command; 15] = {
    use Command::{
        Abort, Ack, Begin, Commit, Connect, Connected, Disconnect, Error, Message, Nack, Receipt, Send,
        Stomp, Subscribe, Unsubscribe,
    };
    [
        Connect,
        Stomp,
        Connected,
        Send,
        Subscribe,
        Unsubscribe,
        Ack,
        Nack,
        Begin,
        Commit,
        Abort,
        Disconnect,
        Message,
        Receipt,
        Error,
    ]
};

pub(crate) fn read(version: Version, mut stream: &[u8]) -> (Vec<Frame>, End) {
    let mut frames = Vec::new();
    loop {
        while let [b'\n' | b'\r', rest @ ..] = stream {
            stream = rest;
        }
        if stream.is_empty() {
            return (frames, End::BetweenFrames);
        }
        match frame(version, stream) {
            Ok((frame, rest)) => {
                frames.push(frame);
                stream = rest;
            }
            Err(end) => return (frames, end),
        }
    }
}

fn frame(version: Version, stream: &[u8]) -> Result<(Frame, &[u8]), End> {
    let mut lines = Vec::new();
    let mut rest = stream;
    loop {
        let (line, behind) = line(version, rest)?;
        rest = behind;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let text = |line: &[u8]| String::from_utf8(line.to_vec()).map_err(|_| End::Wrong);
    let lines = lines.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let (command, lines) = lines.split_first().ok_or(End::Wrong)?;
    if COMMANDS.iter().all(|known| known.as_str() != command) {
        return Err(End::Wrong);
    }
    let unescaped = matches!(command.as_str(), "CONNECT" | "STOMP" | "CONNECTED");
    let escapes = if unescaped { Version::V10 } else { version };
    let headers = lines.iter().map(|line| header(escapes, line)).collect::<Option<Headers>>();
    let headers = headers.ok_or(End::Wrong)?;
    let (body, rest) = body(version, &headers, rest)?;
    Ok((Frame { command: command.clone(), headers, body: body.to_vec() }, rest))
}

/// `*<any OCTET except NUL or EOL> EOL`.
fn line(version: Version, stream: &[u8]) -> Result<(&[u8], &[u8]), End> {
    let end = stream.iter().position(|byte| matches!(byte, b'\n' | 0)).ok_or(End::MidFrame)?;
    if stream[end] == 0 {
        return Err(End::Wrong);
    }
    let line = &stream[..end];
    let line = if version == Version::V12 { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
    Ok((line, &stream[end + 1..]))
}

fn header(version: Version, line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    if name.is_empty() {
        return None;
    }
    Some((unescape(version, name)?, unescape(version, value)?))
}

fn unescape(version: Version, text: &str) -> Option<String> {
    let escapes: &[(&str, &str)] = match version {
        Version::V10 => return Some(text.to_owned()),
        Version::V11 => &[("\\n", "\n"), ("\\c", ":"), ("\\\\", "\\")],
        Version::V12 => &[("\\n", "\n"), ("\\c", ":"), ("\\\\", "\\"), ("\\r", "\r")],
    };
    let Some(at) = text.find('\\') else { return Some(text.to_owned()) };
    let (before, rest) = text.split_at(at);
    let (escape, plain) = escapes.iter().find(|(escape, _)| rest.starts_with(escape))?;
    Some(format!("{before}{plain}{}", unescape(version, &rest[escape.len()..])?))
}

/// By the first `content-length`, or up to the first NUL.
fn body<'a>(version: Version, headers: &Headers, rest: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), End> {
    // The examples of 1.0 have spaces around values.
    let trim =
        |value: &'_ str| if version == Version::V10 { value.trim().to_owned() } else { value.to_owned() };
    let first = headers.iter().find(|(name, _)| name == "content-length");
    let length = match first.map(|(_, value)| trim(value)) {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A billion bytes are beyond every limit: they will never come.
            digits.parse().ok().filter(|length| *length < 1_000_000_000).ok_or(End::Wrong)?
        }
        Some(_) => return Err(End::Wrong),
        None => rest.iter().position(|byte| *byte == 0).ok_or(End::MidFrame)?,
    };
    match rest.get(length) {
        None => Err(End::MidFrame),
        Some(0) => Ok((&rest[..length], &rest[length + 1..])),
        Some(_) => Err(End::Wrong),
    }
}
