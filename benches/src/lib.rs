//! What the benchmarks work on: messages as the engine sees them.

use bytes::{Bytes, BytesMut};
use stomp::{Command, MessageTemplate, Version, encode};
use websocket::{OpCode, mask_frame};

/// A message's text of so many bytes: words, each time the same, which compress about as well as chat does.
pub fn text(size: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "오늘 ",
        "모임 ",
        "the ",
        "meeting ",
        "is ",
        "몇 시 ",
        "at ",
        "seven ",
        "어디서 ",
        "bring ",
        "your ",
        "자전거 ",
        "see ",
        "you ",
        "there ",
        "좋아요! ",
    ];
    let mut state: u32 = 1;
    let mut text = String::new();
    while text.len() < size {
        // The constants of Numerical Recipes; its high bits are good enough to choose a word.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(WORDS[(state >> 28) as usize]);
    }
    // Filled up, so as not to end within a character.
    text.truncate(text.floor_char_boundary(size));
    let mut text = text.into_bytes();
    text.resize(size, b'.');
    text
}

/// A SEND as a client writes it.
pub fn send(size: usize) -> Bytes {
    let headers = [
        ("destination", "/topic/club-1234"),
        ("content-type", "text/plain"),
        ("client-id", "6f1c2a9e-3b1d-4c55-9a77-0f3e5b7c9d10"),
        ("receipt", "1234"),
    ];
    let mut out = BytesMut::new();
    encode(&mut out, Version::V12, Command::Send, headers, &text(size));
    out.freeze()
}

/// The MESSAGE of a text, for any subscription.
pub fn template(text: &[u8]) -> MessageTemplate {
    let headers = [
        ("message-id", "1099511627790"),
        ("destination", "/topic/club-1234"),
        ("content-type", "text/plain"),
    ];
    MessageTemplate::new(Version::V12, headers, text)
}

/// A payload in a client's frame.
pub fn masked(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    mask_frame(OpCode::Text, payload, [0x37, 0xfa, 0x21, 0x3d], &mut out);
    out
}

#[cfg(test)]
mod tests {
    use stomp::{Decoder, Limits};

    use super::*;

    #[test]
    fn the_frames_are_frames() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.push(&send(120));
        let frame = decoder.decode().unwrap().unwrap();
        assert_eq!((frame.command, frame.body.len()), (Command::Send, 120));
        let mut message = BytesMut::new();
        template(&text(120)).write(&mut message, Some("0"), None);
        decoder.push(&message);
        let frame = decoder.decode().unwrap().unwrap();
        assert_eq!((frame.command, frame.body.len()), (Command::Message, 120));
        assert_eq!(masked(b"abc").len(), 9);
    }
}
