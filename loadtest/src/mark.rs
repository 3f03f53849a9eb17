//! What every message carries, so that each delivery can be checked: room, sender, number and send time, in
//! printable ASCII that survives any broker's re-encoding (JSON, say), padded to the wanted size.

use std::{fmt::Write, time::Duration};

use memchr::memmem::Finder;

/// Who sent what when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The room's index.
    pub room: u32,
    /// The sending connection's number.
    pub sender: u32,
    /// Counts the messages of the room.
    pub number: u64,
    /// Since the start of the run; when it was due, if the rate is fixed.
    pub sent: Duration,
}

/// The text of one run's messages.
#[derive(Debug)]
pub struct Marker {
    prefix: String,
    finder: Finder<'static>,
    padding: String,
    size: usize,
}

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing of this run: history, say, or news of the broker.
    Foreign,
    /// A message of this run which is not as it was sent.
    Altered,
    /// A message of this run.
    Intact(Mark),
}

impl Marker {
    /// The least bytes that hold any mark.
    pub const MIN_SIZE: usize = 80;

    /// Marks texts of `size` bytes. The run's number tells its messages from those of an earlier run, which a
    /// broker may keep.
    pub fn new(run: u32, size: usize) -> Self {
        let prefix = format!("moyiza-load:{run:08x}:");
        let finder = Finder::new(&prefix).into_owned();
        let padding = ('a'..='z').cycle().take(size).collect();
        Self { prefix, finder, padding, size }
    }

    /// The text of a message, in place of what `out` held.
    pub fn write(&self, mark: Mark, out: &mut String) {
        out.clear();
        let Mark { room, sender, number, sent } = mark;
        // Writing to memory cannot fail.
        let _ = write!(out, "{}{room}:{sender}:{number}:{}:", self.prefix, sent.as_nanos());
        let padding = self.size.saturating_sub(out.len());
        out.push_str(&self.padding[..padding]);
    }

    /// Looks for a text of this run.
    pub fn find(&self, body: &[u8]) -> Found {
        let Some(start) = self.finder.find(body) else { return Found::Foreign };
        self.parse(&body[start..]).map_or(Found::Altered, Found::Intact)
    }

    fn parse(&self, text: &[u8]) -> Option<Mark> {
        let text = text.get(..self.size)?;
        let mut rest = &text[self.prefix.len()..];
        let room = number(&mut rest)?;
        let sender = number(&mut rest)?;
        let index = number(&mut rest)?;
        let sent = number(&mut rest)?;
        let padding = &self.padding.as_bytes()[..rest.len()];
        let mark = Mark {
            room: u32::try_from(room).ok()?,
            sender: u32::try_from(sender).ok()?,
            number: index,
            sent: Duration::from_nanos(sent),
        };
        (rest == padding).then_some(mark)
    }
}

/// The digits up to a colon, and that colon.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            b':' if at > 0 => {
                *rest = &rest[at + 1..];
                return Some(value);
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark =
        Mark { room: 19, sender: 1_999, number: 123_456, sent: Duration::from_nanos(5_000_000_001) };

    #[test]
    fn what_was_written_is_found_inside_any_body() {
        let marker = Marker::new(7, 120);
        let mut text = String::new();
        marker.write(MARK, &mut text);
        assert_eq!(text.len(), 120);
        let body = format!(r#"{{"type":"message","content":"{text}"}}"#);
        assert_eq!(marker.find(body.as_bytes()), Found::Intact(MARK));
    }

    #[test]
    fn the_least_size_holds_the_greatest_mark() {
        let most =
            Mark { room: 99_999, sender: 99_999, number: 10_u64.pow(12), sent: Duration::from_hours(24) };
        let mut text = String::new();
        let marker = Marker::new(u32::MAX, Marker::MIN_SIZE);
        marker.write(most, &mut text);
        assert_eq!(text.len(), Marker::MIN_SIZE);
        assert_eq!(marker.find(text.as_bytes()), Found::Intact(most));
    }

    #[test]
    fn another_run_is_foreign_and_a_changed_byte_is_seen() {
        let marker = Marker::new(7, 120);
        let mut text = String::new();
        marker.write(MARK, &mut text);
        assert_eq!(Marker::new(8, 120).find(text.as_bytes()), Found::Foreign);
        assert_eq!(marker.find(&text.as_bytes()[..119]), Found::Altered);
        let last = text.pop().unwrap();
        text.push(if last == 'x' { 'y' } else { 'x' });
        assert_eq!(marker.find(text.as_bytes()), Found::Altered);
    }
}
