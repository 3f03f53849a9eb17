//! The codec against the specification's words, against itself, and against every way to cut its input.

use bytes::BytesMut;
use proptest::prelude::*;
use stomp::{Command, DecodeError, Decoder, Frame, Limits, MessageTemplate, Version, encode};

fn decode_all(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<Vec<Frame>, DecodeError> {
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(frame) = decoder.decode()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn decode(bytes: &[u8]) -> Result<Vec<Frame>, DecodeError> {
    decode_all(&mut Decoder::new(Limits::default()), &[bytes])
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

prop_compose! {
    fn frames()(frames in prop::collection::vec((
        prop::sample::select(vec![Command::Send, Command::Message, Command::Connect, Command::Error]),
        prop::collection::vec(("[a-z:\\\\\n\r가-힣]{1,8}", "[ -~\n\r:\\\\가-힣]{0,12}"), 0..4),
        prop::collection::vec(any::<u8>(), 0..24),
    ), 1..4)) -> Vec<(Command, Vec<(String, String)>, Vec<u8>)> { frames }
}

proptest! {
    /// Encode, cut anywhere, decode: the same frames.
    #[test]
    fn any_split_gives_the_same_frames(frames in frames(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut bytes = BytesMut::new();
        for (command, headers, body) in &frames {
            // CONNECT is unescaped: give it nothing to escape.
            let plain = *command == Command::Connect;
            let headers = headers.iter().filter(|_| !plain).map(|(name, value)| (&**name, &**value));
            encode(&mut bytes, Version::V12, *command, headers, body);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let decoded = decode_all(&mut Decoder::new(Limits::default()), &pieces).unwrap();
        prop_assert_eq!(decoded.len(), frames.len());
        for (decoded, (command, headers, body)) in decoded.iter().zip(&frames) {
            prop_assert_eq!(decoded.command, *command);
            prop_assert_eq!(&decoded.body[..], &body[..]);
            if *command != Command::Connect {
                let sent: Vec<_> = decoded.headers.iter().filter(|(name, _)| *name != "content-length").collect();
                let expected: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                prop_assert_eq!(sent, expected);
            }
        }
    }

    /// Whatever comes, the decoder answers, and the answer does not depend on where it was cut.
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(bytes.len() + 1).min(bytes.len());
        let whole = decode(&bytes);
        let split = decode_all(&mut Decoder::new(Limits::default()), &[&bytes[..cut], &bytes[cut..]]);
        prop_assert_eq!(whole.is_err(), split.is_err());
    }
}
