//! What breaks the protocols is named, and ends its connection.

use stomp::Version;
use websocket::{DataKind, Deflate, OpCode, Violation};

use super::{attack, connected, odd};
use crate::peer::{Peer, masked};

fn close_with(code: u16, reason: &[u8]) -> Vec<u8> {
    masked(OpCode::Close, &[&code.to_be_bytes(), reason].concat())
}

/// What breaks RFC 6455, and how.
fn violations() -> Vec<(Vec<u8>, Violation)> {
    let mut cases = vec![
        (b"\x81\x05hello".to_vec(), Violation::NotMasked),
        (odd(0xc1, b"x"), Violation::ReservedBit),
        (odd(0xa1, b"x"), Violation::ReservedBit),
        (odd(0x91, b"x"), Violation::ReservedBit),
        (odd(0xc9, b"x"), Violation::ReservedBit),
        (odd(0x80, b"x"), Violation::NothingToContinue),
        (odd(0x00, b"x"), Violation::NothingToContinue),
        ([odd(0x01, b"\n"), odd(0x81, b"\n")].concat(), Violation::MessageInMessage),
        ([odd(0x01, b"\n"), odd(0x80, b"\n"), odd(0x80, b"\n")].concat(), Violation::NothingToContinue),
        (odd(0x09, b"x"), Violation::ControlFragmented),
        (odd(0x08, b""), Violation::ControlFragmented),
        (odd(0x89, &[b'x'; 126]), Violation::ControlTooLong),
        (odd(0x88, &[b'x'; 70_000]), Violation::ControlTooLong),
        (b"\x81\xfe\x00\x01\0\0\0\0x".to_vec(), Violation::LengthNotShortest),
        (b"\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0".to_vec(), Violation::LengthNotShortest),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(), Violation::LengthTopBit),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(), Violation::TooLong(16_777_216)),
        (masked(OpCode::Close, b"x"), Violation::CloseOneByte),
        (close_with(1000, b"\xff"), Violation::CloseReasonNotUtf8),
        (odd(0x81, b"\n\xff"), Violation::NotUtf8),
        // A surrogate, an overlong form, something beyond Unicode, a character without its end.
        (odd(0x81, b"\xed\xa0\x80"), Violation::NotUtf8),
        (odd(0x81, b"\xc0\xaf"), Violation::NotUtf8),
        (odd(0x81, b"\xf4\x90\x80\x80"), Violation::NotUtf8),
        (odd(0x81, b"\xed\x95"), Violation::NotUtf8),
        ([odd(0x01, b"\xed\x95"), odd(0x80, b"\n")].concat(), Violation::NotUtf8),
    ];
    cases.extend(
        [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
            .map(|opcode| (odd(0x80 | opcode, b"x"), Violation::ReservedOpCode(opcode))),
    );
    cases.extend(
        [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535]
            .map(|code| (close_with(code, b""), Violation::CloseCode(code))),
    );
    cases
}

#[tokio::test]
async fn what_breaks_rfc_6455_is_named_and_closed() {
    attack(&[], async |world| {
        let token = world.person().await.token;
        for (bytes, violation) in violations() {
            for signed_in in [false, true] {
                let mut peer = Peer::open(world.addr()).await;
                if signed_in {
                    peer = peer.connected(&token, Version::V12).await;
                }
                peer.write(&bytes).await;
                let farewell = peer.farewell().await;
                farewell.assert_error(&violation.to_string(), violation.close_code());
            }
        }
        let mut not_deflate = odd(0xc1, &[0xff; 20]);
        let compressed = |bytes: &mut Vec<u8>| std::mem::take(bytes);
        let mut half = Vec::new();
        assert!(Deflate::default().compress_masked(DataKind::Text, &[b'\n'; 500], [0; 4], &mut half));
        half[0] &= 0x7f;
        let cases = [
            (compressed(&mut not_deflate), Violation::NotDeflate),
            ([half, odd(0xc0, b"x")].concat(), Violation::ReservedBit),
        ];
        for (bytes, violation) in cases {
            let mut peer = Peer::open_compressed(world.addr()).await.connected(&token, Version::V12).await;
            peer.write(&bytes).await;
            peer.farewell().await.assert_error(&violation.to_string(), violation.close_code());
        }
    })
    .await;
}

#[tokio::test]
async fn what_came_before_a_violation_is_done() {
    attack(&[], async |world| {
        let (mut subscriber, mut peer) = (connected(world).await, connected(world).await);
        subscriber.subscribe("s", "/topic/before").await;
        let send = masked(OpCode::Text, b"SEND\ndestination:/topic/before\n\nlast words\0");
        peer.write(&[&send[..], b"\x81\x01x"].concat()).await;
        assert_eq!(subscriber.body().await, "last words");
        peer.farewell().await.assert_error(&Violation::NotMasked.to_string(), 1002);
    })
    .await;
}

#[tokio::test]
async fn headers_that_are_not_utf_8_are_refused() {
    attack(&[], async |world| {
        for frame in ["SEND\ndestination:/topic/", "SEND\ndestination:/topic/a\n"] {
            let mut peer = connected(world).await;
            // Nothing is wrong with it as a binary message.
            peer.send(OpCode::Binary, &[frame.as_bytes(), b"\xff:\xfe\n\n\0"].concat()).await;
            peer.farewell().await.assert_error("the headers are not UTF-8", 1008);
        }
    })
    .await;
}
