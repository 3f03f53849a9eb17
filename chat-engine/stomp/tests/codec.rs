//! The codec against the specification's words.

use bytes::BytesMut;
use stomp::{Command, DecodeError, Decoder, Frame, Limits, MessageTemplate, Version, encode};

fn decode(bytes: &[u8]) -> Result<Vec<Frame>, DecodeError> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode()? {
        frames.push(frame);
    }
    Ok(frames)
}

#[test]
fn several_frames_and_heart_beats_in_one_piece() {
    let frames =
        decode(b"\n\r\nSEND\ndestination:/a\n\nhi\0\n\nDISCONNECT\r\nreceipt:7\r\n\r\n\0\n").unwrap();
    assert_eq!(
        frames.iter().map(|frame| frame.command).collect::<Vec<_>>(),
        [Command::Send, Command::Disconnect]
    );
    assert_eq!(frames[0].body, "hi");
    assert_eq!(frames[1].headers.first("receipt").unwrap(), "7");
}

#[test]
fn content_length_lets_a_body_hold_nul() {
    let frames = decode(b"SEND\ndestination:/a\ncontent-length:3\n\na\0b\0").unwrap();
    assert_eq!(&frames[0].body[..], b"a\0b");
}

#[test]
fn the_first_of_a_repeated_header_counts() {
    let frames = decode(b"SEND\ndestination:/a\nfoo:1\nfoo:2\n\n\0").unwrap();
    assert_eq!(frames[0].headers.first("foo").unwrap(), "1");
}

#[test]
fn connect_is_not_unescaped() {
    let frames = decode(b"CONNECT\nlogin:a\\cb\n\n\0").unwrap();
    assert_eq!(frames[0].headers.first("login").unwrap(), "a\\cb");
}

#[test]
fn the_beginning_of_a_frame_does_not_hold_what_came_before_it() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(b"SEND\ndestination:/a\n\nlarge\0\nSEND\ndest");
    let frame = decoder.decode().unwrap().unwrap();
    assert_eq!(decoder.decode(), Ok(None));
    assert!(frame.body.is_unique(), "the whole piece is still held");
    decoder.push(b"ination:/b\n\n\0");
    assert_eq!(decoder.decode().unwrap().unwrap().headers.first("destination").unwrap(), "/b");
}

#[test]
fn what_is_wrong_is_named() {
    use DecodeError as E;
    let limits = Limits::default();
    let long_header = format!("SEND\nx:{}", "y".repeat(limits.header_bytes));
    let many_headers = format!("SEND\n{}\n\0", "a:b\n".repeat(limits.headers + 1));
    let long_body = format!("SEND\nd:/\n\n{}", "y".repeat(limits.frame_bytes));
    let cases: [(&[u8], E); 12] = [
        (b"HELLO\n\n\0", E::UnknownCommand("HELLO".into())),
        (b"SEND\nfoo\n\n\0", E::NoColon("foo".into())),
        (b"SEND\n:b\n\n\0", E::NoName(":b".into())),
        (b"SEND\na:b\0", E::NulInHeaders),
        (b"SEND\ncontent-length:+1\n\na\0", E::ContentLength("+1".into())),
        (b"SEND\na:b\\t\n\n\0", E::Escape("a:b\\t".into())),
        (b"SEND\ncontent-length:-1\n\n\0", E::ContentLength("-1".into())),
        (b"SEND\ncontent-length:1\n\nab\0", E::Unterminated(1)),
        (b"SEND\ncontent-length:18446744073709551615\n\n", E::FrameTooLong(limits.frame_bytes)),
        (long_header.as_bytes(), E::HeadersTooLong(limits.header_bytes)),
        (many_headers.as_bytes(), E::TooManyHeaders(limits.headers)),
        (long_body.as_bytes(), E::FrameTooLong(limits.frame_bytes)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decode(bytes), Err(expected));
    }
}

#[test]
fn a_template_gives_the_frame_that_encode_gives() {
    let template = MessageTemplate::new(Version::V12, [("destination", "/chat/1"), ("seq", "9")], b"{}");
    let mut expected = BytesMut::new();
    let headers = [("subscription", "a:b"), ("destination", "/chat/1"), ("seq", "9")];
    encode(&mut expected, Version::V12, Command::Message, headers, b"{}");
    let mut frame = BytesMut::new();
    template.write(&mut frame, Some("a:b"), None);
    assert_eq!(frame, expected);
}
