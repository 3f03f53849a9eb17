//! What holds for any stream.

use proptest::{collection::vec, prelude::*};
use websocket::{DataKind, Deflate, FrameBuffer, OpCode, close, frame, mask_frame, ping, pong};

use crate::{
    conversation::{CLIENT, End, SERVER, Said},
    reference,
    streams::{pieces, stream},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Right or wrong, cut or not, a stream says what the reference reads in it.
    #[test]
    fn any_stream_in_any_pieces_is_read_as_the_reference_reads_it(
        (setting, bytes) in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let expected = reference::read(setting, &bytes);
        prop_assert_eq!(&setting.hear([&bytes[..]]), &expected, "in one piece");
        prop_assert_eq!(&setting.hear(pieces(&bytes, &cuts)), &expected, "cut");
        if bytes.len() < 1000 {
            prop_assert_eq!(&setting.hear(bytes.chunks(1)), &expected, "byte by byte");
        }
    }

    /// Nor does anything that is not a stream of frames at all.
    #[test]
    fn noise_is_read_as_the_reference_reads_it(bytes in vec(any::<u8>(), 0..64), deflate: bool, server: bool) {
        let setting = if server { SERVER } else { CLIENT };
        let setting = if deflate { setting.with_deflate() } else { setting };
        let expected = reference::read(setting, &bytes);
        prop_assert_eq!(&setting.hear([&bytes[..]]), &expected);
        prop_assert_eq!(&setting.hear(bytes.chunks(1)), &expected);
    }

    /// Nothing is promised behind a violation, but that a caller's mistake does no harm.
    #[test]
    fn one_that_goes_on_behind_a_violation_does_not_panic((setting, mut bytes) in stream(), step in 1..50usize) {
        let mut receiver = setting.receiver();
        for piece in bytes.chunks_mut(step) {
            let mut at = 0;
            while at < piece.len() {
                let used = receiver.receive(&mut piece[at..]).map(|(used, _)| used);
                at += used.unwrap_or_default().max(1);
            }
        }
    }

    /// A payload in a buffer and a payload in a slice make the same frame.
    #[test]
    fn a_buffer_makes_the_frame_of_its_payload(payload in vec(any::<u8>(), 0..200), times in 1..400usize) {
        let payload = payload.repeat(times);
        let mut buffer = FrameBuffer::with_capacity(payload.len());
        buffer.payload_mut().extend_from_slice(&payload);
        prop_assert_eq!(buffer.payload(), &payload[..]);
        prop_assert_eq!(buffer.finish(DataKind::Binary), frame(OpCode::Binary, &payload));
    }
}

proptest! {
    /// What one side writes the other reads, with and without compression.
    #[test]
    fn frames_written_are_read_back(
        messages in vec((any::<bool>(), any::<bool>(), "[a-z가-힣 ]{0,40}", prop_oneof![9 => 0..20usize, 1 => 1700..1701usize]), 0..6),
        control in vec(any::<u8>(), 0..=125),
        reason in "[a-z가-힣]{0,50}",
        key: [u8; 4],
        window_bits in 9..=15u8,
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let offer = format!("permessage-deflate; server_max_window_bits={window_bits}");
        let (deflate, _) = Deflate::negotiate(std::iter::once(&*offer)).unwrap();
        let mut from_server = Vec::new();
        let mut from_client = Vec::new();
        let mut expected = Vec::new();
        for (is_text, compress, text, times) in messages {
            let kind = if is_text { DataKind::Text } else { DataKind::Binary };
            let payload = text.repeat(times);
            let payload = payload.as_bytes();
            let compressed = deflate.compress(kind, payload).filter(|_| compress);
            from_server.extend(compressed.unwrap_or_else(|| {
                let mut buffer = FrameBuffer::with_capacity(7);
                buffer.payload_mut().extend_from_slice(payload);
                buffer.finish(kind)
            }));
            if !compress || !deflate.compress_masked(kind, payload, key, &mut from_client) {
                mask_frame(kind.into(), payload, key, &mut from_client);
            }
            expected.push(Said::Message(kind, payload.to_vec()));
        }
        let mut closing = 1000u16.to_be_bytes().to_vec();
        let cut = reason.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 123).last();
        let reason_sent = &reason[..cut.unwrap_or(0)];
        closing.extend(reason_sent.as_bytes());
        for (opcode, frame) in [(OpCode::Ping, ping(&control)), (OpCode::Pong, pong(&control))] {
            from_server.extend(frame);
            mask_frame(opcode, &control, key, &mut from_client);
        }
        from_server.extend(close(1000, &reason));
        mask_frame(OpCode::Close, &closing, key, &mut from_client);
        let close = Said::Close(Some((1000, reason_sent.to_owned())));
        expected.extend([Said::Ping(control.clone()), Said::Pong(control), close]);

        for (setting, bytes) in [(CLIENT, from_server), (SERVER, from_client)] {
            let setting = crate::conversation::Setting { message_bytes: 1 << 20, ..setting.with_deflate() };
            let heard = setting.hear(pieces(&bytes, &cuts));
            prop_assert_eq!(&heard.said, &expected);
            prop_assert_eq!(heard.end, End::Closed);
        }
    }
}
