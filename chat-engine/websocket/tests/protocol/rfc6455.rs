//! RFC 6455, section by section.

use std::borrow::Cow;

use websocket::{
    CONTROL_MAX, Event, FrameBuffer, FrameHeader, OpCode, Receiver, Violation, close, frame, mask_frame,
    ping, pong,
};

use crate::conversation::{CLIENT, End, SERVER, Said, Setting, binary, text};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client sends it, of which only the first byte is given as it stands.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    mask_frame(OpCode::Text, payload, KEY, &mut out);
    out[0] = first;
    out
}

fn to_server(frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
}

#[test]
fn section_5_7_the_examples_are_read() {
    assert_eq!(CLIENT.said(b"\x81\x05Hello"), [text("Hello")]);
    assert_eq!(SERVER.said(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [text("Hello")]);
    assert_eq!(CLIENT.said(b"\x01\x03Hel\x80\x02lo"), [text("Hello")]);
    assert_eq!(CLIENT.said(b"\x89\x05Hello"), [Said::Ping(b"Hello".into())]);
    assert_eq!(SERVER.said(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [Said::Pong(b"Hello".into())]);
    let medium = [&b"\x82\x7e\x01\x00"[..], &[7; 256]].concat();
    assert_eq!(CLIENT.said(&medium), [binary(&[7; 256])]);
    let long = [&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], &vec![7; 65_536]].concat();
    assert_eq!(CLIENT.said(&long), [binary(&vec![7; 65_536])]);
}

#[test]
fn section_5_7_the_examples_are_written() {
    assert_eq!(&frame(OpCode::Text, b"Hello")[..], b"\x81\x05Hello");
    assert_eq!(masked(0x81, b"Hello"), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(&ping(b"Hello")[..], b"\x89\x05Hello");
    assert_eq!(&pong(b"Hello")[..], b"\x8a\x05Hello");
    assert_eq!(&frame(OpCode::Binary, &[7; 256])[..4], b"\x82\x7e\x01\x00");
    assert_eq!(&frame(OpCode::Binary, &vec![7; 65_536])[..10], b"\x82\x7f\0\0\0\0\0\x01\0\0");
    let mut fragments = Vec::new();
    FrameHeader { last: false, ..FrameHeader::new(OpCode::Text) }.put(3, &mut fragments);
    assert_eq!(fragments, b"\x01\x03");
}

#[test]
fn section_5_1_a_server_takes_masked_frames_only_and_a_client_unmasked_ones_only() {
    assert_eq!(SERVER.violation(b"\x81\x05Hello"), Violation::NotMasked);
    assert_eq!(SERVER.violation(b"\x89\x00"), Violation::NotMasked);
    assert_eq!(CLIENT.violation(&masked(0x81, b"Hello")), Violation::Masked);
    assert_eq!(CLIENT.violation(&masked(0x88, b"")), Violation::Masked);
}

#[test]
fn section_5_2_reserved_bits_are_refused() {
    for bits in [0x40, 0x20, 0x10, 0x70] {
        for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xa] {
            assert_eq!(SERVER.violation(&masked(0x80 | bits | opcode, b"")), Violation::ReservedBit);
        }
    }
}

#[test]
fn section_5_2_reserved_opcodes_are_refused_with_their_first_two_bytes() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(SERVER.violation(&[0x80 | opcode, 0x80]), Violation::ReservedOpCode(opcode));
        assert_eq!(SERVER.violation(&[opcode, 0xff]), Violation::ReservedOpCode(opcode));
    }
}

#[test]
fn section_5_2_a_length_must_be_in_its_shortest_form() {
    for bytes in [
        &b"\x82\x7e\0\0"[..],
        b"\x82\x7e\0\x7d",
        b"\x82\x7f\0\0\0\0\0\0\0\x05",
        b"\x82\x7f\0\0\0\0\0\0\xff\xff",
    ] {
        assert_eq!(CLIENT.violation(bytes), Violation::LengthNotShortest);
    }
    for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = vec![7; length];
        assert_eq!(CLIENT.said(&frame(OpCode::Binary, &payload)), [binary(&payload)]);
        assert_eq!(SERVER.said(&masked(0x82, &payload)), [binary(&payload)]);
    }
}

#[test]
fn section_5_2_the_highest_bit_of_a_length_must_be_zero() {
    assert_eq!(CLIENT.violation(b"\x82\x7f\x80\0\0\0\0\0\0\0"), Violation::LengthTopBit);
    assert_eq!(CLIENT.violation(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), Violation::TooLong(100_000));
}

#[test]
fn section_5_4_a_message_may_come_in_any_number_of_frames() {
    let frames: &[(u8, &[u8])] = &[(0x01, b""), (0x00, b"Hel"), (0x00, b""), (0x00, b"lo"), (0x80, b"")];
    assert_eq!(SERVER.said(&to_server(frames)), [text("Hello")]);
    assert_eq!(SERVER.said(&to_server(&[(0x81, b""), (0x82, b"")])), [text(""), binary(b"")]);
}

#[test]
fn section_5_4_control_frames_may_come_between_the_frames_of_a_message() {
    let frames: &[(u8, &[u8])] = &[(0x01, b"Hel"), (0x89, b"ping"), (0x8a, b""), (0x80, b"lo")];
    assert_eq!(
        SERVER.said(&to_server(frames)),
        [Said::Ping(b"ping".into()), Said::Pong(vec![]), text("Hello")]
    );
}

#[test]
fn section_5_4_a_continuation_must_continue_something() {
    assert_eq!(SERVER.violation(&masked(0x80, b"a")), Violation::NothingToContinue);
    assert_eq!(SERVER.violation(&masked(0x00, b"a")), Violation::NothingToContinue);
    let after_a_whole_one = to_server(&[(0x81, b"a"), (0x80, b"b")]);
    assert_eq!(SERVER.violation(&after_a_whole_one), Violation::NothingToContinue);
}

#[test]
fn section_5_4_messages_do_not_interleave() {
    for first in [0x81, 0x82, 0x01, 0x02] {
        let frames = to_server(&[(0x01, b"Hel"), (first, b"lo")]);
        assert_eq!(SERVER.violation(&frames), Violation::MessageInMessage);
    }
}

#[test]
fn section_5_5_control_frames_are_short_and_whole() {
    for opcode in [0x8, 0x9, 0xa] {
        assert_eq!(SERVER.violation(&masked(opcode, b"")), Violation::ControlFragmented);
        assert_eq!(SERVER.violation(&masked(0x80 | opcode, &[b'a'; 126])), Violation::ControlTooLong);
        assert_eq!(SERVER.violation(&[0x80 | opcode, 0xff]), Violation::ControlTooLong);
    }
    assert_eq!(SERVER.said(&masked(0x89, &[b'a'; 125])), [Said::Ping(vec![b'a'; 125])]);
    assert_eq!(ping(&[b'a'; 200]).len(), 2 + CONTROL_MAX, "nor do we write a longer one");
}

#[test]
fn section_5_5_1_a_close_may_have_a_code_and_a_reason() {
    assert_eq!(SERVER.said(&masked(0x88, b"")), [Said::Close(None)]);
    assert_eq!(SERVER.said(&masked(0x88, b"\x03\xe8")), [Said::Close(Some((1000, String::new())))]);
    assert_eq!(SERVER.said(&masked(0x88, b"\x03\xe9bye")), [Said::Close(Some((1001, "bye".into())))]);
    assert_eq!(SERVER.violation(&masked(0x88, b"\x03")), Violation::CloseOneByte);
    assert_eq!(SERVER.violation(&masked(0x88, b"\x03\xe8\xff")), Violation::CloseReasonNotUtf8);
    assert_eq!(
        SERVER.violation(&masked(0x88, "\u{3}\u{0}한".as_bytes().split_at(4).0)),
        Violation::CloseCode(768)
    );
}

#[test]
fn section_5_5_1_the_reason_we_give_is_cut_between_characters() {
    let said = CLIENT.said(&close(1008, &"한".repeat(60)));
    assert_eq!(said, [Said::Close(Some((1008, "한".repeat(41))))]);
    assert_eq!(&close(1000, "")[..], b"\x88\x02\x03\xe8");
}

#[test]
fn section_7_4_only_codes_that_may_be_sent_are_taken() {
    let taken: Vec<u16> =
        (0..=u16::MAX).filter(|code| CLIENT.hear([&close(*code, "")[..]]).end == End::Closed).collect();
    let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
    assert_eq!(taken, expected);
    assert_eq!(CLIENT.violation(&close(1005, "")), Violation::CloseCode(1005));
}

#[test]
fn section_8_1_text_is_utf_8_across_frames_and_fails_at_the_first_wrong_byte() {
    let [a, b, c] = ["한".as_bytes()[0], "한".as_bytes()[1], "한".as_bytes()[2]];
    assert_eq!(SERVER.said(&to_server(&[(0x01, &[a]), (0x00, &[b]), (0x80, &[c])])), [text("한")]);
    assert_eq!(SERVER.violation(&to_server(&[(0x01, &[a]), (0x80, &[b])])), Violation::NotUtf8);
    assert_eq!(SERVER.violation(&masked(0x81, &[b'x', a, b])), Violation::NotUtf8);
    // The rest of the message never has to come: a surrogate is wrong with its second byte.
    let frame = masked(0x81, b"\xed\xa0\x80 and so on");
    assert_eq!(SERVER.violation(&frame[..8]), Violation::NotUtf8);
    assert_eq!(SERVER.said(&masked(0x82, b"\xed\xa0")), [binary(b"\xed\xa0")]);
}

#[test]
fn section_10_4_a_message_that_is_too_long_is_refused_by_its_header() {
    let setting = Setting { message_bytes: 10, ..SERVER };
    assert_eq!(setting.said(&masked(0x81, &[b'a'; 10])), [text("aaaaaaaaaa")]);
    assert_eq!(setting.violation(&masked(0x81, &[b'a'; 11])[..2]), Violation::TooLong(10));
    let frames = to_server(&[(0x01, &[b'a'; 6]), (0x89, &[b'p'; 100]), (0x80, &[b'a'; 5])]);
    let header_of_the_last = frames.len() - 5 - 4;
    assert_eq!(setting.violation(&frames[..header_of_the_last]), Violation::TooLong(10));
    let next_message = to_server(&[(0x01, &[b'a'; 6]), (0x80, &[b'a'; 4]), (0x81, &[b'a'; 10])]);
    assert_eq!(setting.said(&next_message).len(), 2, "each message has the whole limit");
}

#[test]
fn section_7_1_7_each_violation_has_its_close_code() {
    assert_eq!(Violation::ReservedBit.close_code(), 1002);
    assert_eq!(Violation::CloseCode(1005).close_code(), 1002);
    assert_eq!(Violation::NotUtf8.close_code(), 1007);
    assert_eq!(Violation::CloseReasonNotUtf8.close_code(), 1007);
    assert_eq!(Violation::NotDeflate.close_code(), 1007);
    assert_eq!(Violation::TooLong(1).close_code(), 1009);
}

#[test]
fn a_whole_frame_is_given_out_from_the_callers_buffer() {
    let mut receiver = SERVER.receiver();
    for first in [0x81, 0x89, 0x8a] {
        let mut bytes = masked(first, b"Hello");
        let payload = bytes[6..].as_ptr();
        let (used, event) = receiver.receive(&mut bytes).unwrap();
        assert_eq!(used, 11);
        let (Event::Data { bytes, .. } | Event::Ping(bytes) | Event::Pong(bytes)) = event.unwrap() else {
            panic!("not what was sent")
        };
        assert!(matches!(bytes, Cow::Borrowed(bytes) if bytes == b"Hello" && bytes.as_ptr() == payload));
    }
}

#[test]
fn parts_are_given_out_as_they_come() {
    let mut receiver = SERVER.receiver();
    let mut bytes = masked(0x82, b"Hello");
    let (first, second) = bytes.split_at_mut(8);
    let (used, event) = receiver.receive(first).unwrap();
    assert!(matches!(event, Some(Event::Data { bytes: Cow::Borrowed(b"He"), last: false, .. })));
    assert_eq!(used, 8);
    let (used, event) = receiver.receive(second).unwrap();
    assert!(matches!(event, Some(Event::Data { bytes: Cow::Borrowed(b"llo"), last: true, .. })));
    assert_eq!(used, 3);
}

#[test]
fn a_receiver_knows_whether_its_peer_owes_it_something() {
    let mut receiver = SERVER.receiver();
    let mut bytes = to_server(&[(0x01, b"He"), (0x89, b"p"), (0x80, b"llo")]);
    assert!(!receiver.is_mid_frame());
    let ends = bytes.len();
    for at in 0..ends {
        let _ = receiver.receive(&mut bytes[at..=at]).unwrap();
        assert_eq!(receiver.is_mid_frame(), at + 1 < ends, "behind byte {at}");
    }
}

#[test]
fn a_receiver_is_small() {
    // There is one for each connection, and most connections are idle.
    assert!(size_of::<Receiver>() <= 48, "{} bytes", size_of::<Receiver>());
}

#[test]
fn a_buffer_may_grow() {
    let mut buffer = FrameBuffer::with_capacity(0);
    buffer.payload_mut().extend_from_slice(&[b'a'; 300]);
    assert_eq!(CLIENT.said(&buffer.finish(websocket::DataKind::Text)), [text(&"a".repeat(300))]);
}
