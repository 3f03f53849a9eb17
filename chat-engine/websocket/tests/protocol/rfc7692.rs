//! RFC 7692, section by section.

use websocket::{DataKind, Deflate, OpCode, Violation, frame};

use crate::conversation::{CLIENT, SERVER, Said, Setting, binary, text};

fn negotiate(offers: &[&str]) -> Option<String> {
    Deflate::negotiate(offers.iter().copied()).map(|(_, answer)| answer)
}

fn client() -> Setting {
    CLIENT.with_deflate()
}

/// A frame of a server, of which only the first byte is given as it stands.
fn from_server(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (first, payload) in frames {
        let start = out.len();
        out.extend(frame(OpCode::Text, payload));
        out[start] = *first;
    }
    out
}

const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn section_5_the_first_acceptable_offer_is_taken() {
    assert_eq!(negotiate(&["permessage-deflate"]).as_deref(), Some(ANSWER));
    assert_eq!(negotiate(&["permessage-deflate; client_max_window_bits"]).as_deref(), Some(ANSWER));
    assert_eq!(negotiate(&["x-webkit-deflate-frame", "permessage-deflate"]).as_deref(), Some(ANSWER));
    assert_eq!(negotiate(&[]), None);
    assert_eq!(negotiate(&["", "permessage-bzip2; level=3"]), None);
    let with_bits = format!("{ANSWER}; server_max_window_bits=10");
    for offer in [
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate;server_max_window_bits=\"10\"",
        "permessage-deflate; unknown, permessage-deflate ; server_max_window_bits = 10",
        "other; a=\"x, permessage-deflate, \\\", permessage-deflate, y\", permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
    ] {
        assert_eq!(negotiate(&[offer]).as_deref(), Some(&*with_bits), "{offer}");
    }
}

#[test]
fn section_7_1_an_offer_with_a_wrong_parameter_is_declined() {
    for parameters in [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=\"\"",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=9",
        "server_max_window_bits=9; server_max_window_bits=9",
        "server_max_window_bits",
        "server_max_window_bits=",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=09",
        "server_max_window_bits=+9",
        "server_max_window_bits=\"9",
        "client_max_window_bits=7",
        "client_max_window_bits=016",
        "",
    ] {
        assert_eq!(negotiate(&[&format!("permessage-deflate; {parameters}")]), None, "{parameters}");
    }
}

#[test]
fn section_7_1_2_1_a_window_of_256_bytes_is_declined_as_zlib_has_none() {
    assert_eq!(negotiate(&["permessage-deflate; server_max_window_bits=8"]), None);
    assert!(negotiate(&["permessage-deflate; client_max_window_bits=8"]).is_some(), "we can read it, though");
}

/// Bytes that cannot be compressed by themselves.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 25).to_le_bytes()[0]
    });
    letters.take(length).collect()
}

#[test]
fn section_7_1_2_1_we_do_not_refer_further_back_than_the_window_that_was_agreed_on() {
    // Our inflater's window is the largest in any case, so that it would not notice. Size tells: what repeats
    // itself from beyond the window cannot be shortened.
    for bits in 9..=14u8 {
        let payload = noise((1 << bits) + 100).repeat(4);
        let size = |bits: u8| {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let (deflate, answer) = Deflate::negotiate(std::iter::once(&*offer)).unwrap();
            assert_eq!(answer, format!("{ANSWER}; server_max_window_bits={bits}"));
            deflate.compress(DataKind::Binary, &payload).map_or(payload.len(), |frame| frame.len())
        };
        assert!(size(bits) > payload.len() * 3 / 4, "{bits} bits");
        assert!(
            size(bits + 1) < payload.len() / 2,
            "with {bits} bits and one more the payload would show it"
        );
    }
}

#[test]
fn section_6_1_only_the_first_frame_of_a_message_carries_rsv1() {
    let frames: &[(u8, &[u8])] = &[(0x41, b"\xf2\x48\xcd"), (0x80, b"\xc9\xc9\x07\x00")];
    assert_eq!(client().said(&from_server(frames)), [text("Hello")]);
    let frames: &[(u8, &[u8])] = &[(0x41, b"\xf2\x48\xcd"), (0xc0, b"\xc9\xc9\x07\x00")];
    assert_eq!(client().violation(&from_server(frames)), Violation::ReservedBit);
    for opcode in [0x8, 0x9, 0xa] {
        assert_eq!(client().violation(&from_server(&[(0xc0 | opcode, b"")])), Violation::ReservedBit);
    }
    assert_eq!(CLIENT.violation(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\0"), Violation::ReservedBit);
}

#[test]
fn section_6_compressed_and_plain_messages_mix() {
    let frames: &[(u8, &[u8])] = &[
        (0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        (0x81, b"Hello"),
        (0x42, b"\xf2\x48\xcd"),
        (0x89, b"Hello"),
        (0x00, b""),
        (0x80, b"\xc9\xc9\x07\x00"),
    ];
    let expected = [text("Hello"), text("Hello"), Said::Ping(b"Hello".into()), binary(b"Hello")];
    assert_eq!(client().said(&from_server(frames)), expected);
}

#[test]
fn section_7_2_3_the_examples_are_read() {
    for payload in [
        &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],            // 7.2.3.1 one block
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", // 7.2.3.3 no compression
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",             // 7.2.3.4 BFINAL
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", // 7.2.3.5 two blocks
    ] {
        assert_eq!(client().said(&from_server(&[(0xc1, payload)])), [text("Hello")], "{payload:02x?}");
    }
}

#[test]
fn section_7_2_3_2_a_message_must_not_refer_to_the_one_before() {
    let frames: &[(u8, &[u8])] = &[(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"), (0xc1, b"\xf2\x00\x11\x00\x00")];
    assert_eq!(client().violation(&from_server(frames)), Violation::NotDeflate);
    let deflate = Deflate::default();
    let payload = b"the same and the same and the same";
    assert_eq!(deflate.compress(DataKind::Text, payload), deflate.compress(DataKind::Text, payload));
}

#[test]
fn section_7_2_3_6_an_empty_message() {
    assert_eq!(client().said(&from_server(&[(0xc1, b"\x00")])), [text("")]);
    assert_eq!(client().said(&from_server(&[(0xc1, b"")])), [text("")], "sloppy but clear");
    assert_eq!(Deflate::default().compress(DataKind::Text, b""), None);
}

#[test]
fn section_7_2_2_what_is_not_deflate_or_ends_too_early_is_refused() {
    for payload in [
        &b"\xff\xff\xff"[..],
        b"\xf2\x48\xcd\xc9\xc9",                         // cut within a block
        b"\x00\x09\x00\xf6\xff\x48\x65\x6c\x6c\x6f",     // the same, lacking as many bytes as the tail has
        b"\x00\x05\x00\xfa\xff\x48\x65",                 // the same, not compressed
        b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", // the tail was left on
    ] {
        let frame = from_server(&[(0xc2, payload)]);
        assert_eq!(client().violation(&frame), Violation::NotDeflate, "{payload:02x?}");
    }
}

#[test]
fn section_8_1_text_is_checked_as_it_is_decompressed() {
    let wrong = [&[b'a'; 100][..], b"\xff", &[b'a'; 100]].concat();
    let frame = Deflate::default().compress(DataKind::Text, &wrong).unwrap();
    assert_eq!(client().violation(&frame), Violation::NotUtf8);
}

#[test]
fn a_frame_is_compressed_only_if_that_makes_it_shorter() {
    let deflate = Deflate::default();
    let compressed = deflate.compress(DataKind::Text, &[b'a'; 1000]).unwrap();
    assert!(compressed.len() < 30 && compressed[0] == 0xc1);
    assert_eq!(client().said(&compressed), [text(&"a".repeat(1000))]);
    assert_eq!(deflate.compress(DataKind::Binary, b"Hello"), None);
    for (noisy, even) in (0..30).flat_map(|noisy| (0..30).map(move |even| (noisy, even))) {
        let payload = [noise(noisy), vec![b'a'; even]].concat();
        let plain = frame(OpCode::Text, &payload).len();
        assert!(deflate.compress(DataKind::Text, &payload).is_none_or(|frame| frame.len() < plain));
    }
    let mut out = b"before".to_vec();
    assert!(!deflate.compress_masked(DataKind::Binary, b"Hello", [1; 4], &mut out));
    assert!(deflate.compress_masked(DataKind::Binary, &[b'a'; 1000], [1; 4], &mut out));
    assert_eq!(SERVER.with_deflate().said(&out[6..]), [binary(&[b'a'; 1000])]);
}

#[test]
fn a_bomb_is_cut_at_the_limit() {
    let bomb = Deflate::default().compress(DataKind::Binary, &vec![0; 1 << 20]).unwrap();
    for message_bytes in [0, 1, 63, 64, 65, 1000, (1 << 20) - 1] {
        let setting = Setting { message_bytes, ..client() };
        assert_eq!(setting.violation(&bomb), Violation::TooLong(message_bytes), "{message_bytes}");
    }
    let setting = Setting { message_bytes: 1 << 20, ..client() };
    assert_eq!(setting.said(&bomb), [binary(&vec![0; 1 << 20])], "just as long as it may be");
}

#[test]
fn a_message_that_decompresses_to_nothing_has_an_end() {
    let setting = Setting { message_bytes: 1000, ..client() };
    let empty_blocks = b"\x00\x00\x00\xff\xff".repeat(200);
    let frames = [vec![(0x42, &empty_blocks[..])], vec![(0x00, &empty_blocks[..]); 3]].concat();
    assert_eq!(setting.violation(&from_server(&frames)), Violation::TooLong(1000));
    // While what cannot be compressed still fits, though its frame is longer than the message may be.
    let plain = [&b"\x00\xe8\x03\x17\xfc"[..], &[7; 1000], b"\x00"].concat();
    assert_eq!(setting.said(&from_server(&[(0xc2, &plain)])), [binary(&[7; 1000])]);
}
