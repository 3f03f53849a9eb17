//! Another implementation reads what we write, and writes what we read.

use std::io::Cursor;

use proptest::{collection::vec, prelude::*};
use tungstenite::{
    Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};
use websocket::{DataKind, OpCode, frame, mask_frame};

use crate::conversation::{CLIENT, SERVER, Said};

/// A stream that is written from one side and read from the other.
#[derive(Debug, Default)]
struct Pipe {
    written: Vec<u8>,
}

impl std::io::Read for Pipe {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Ok(0)
    }
}

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn messages() -> impl Strategy<Value = Vec<(DataKind, Vec<u8>)>> {
    let text = "[ -~가-힣]{0,80}".prop_map(|text| (DataKind::Text, text.into_bytes()));
    let binary = (vec(any::<u8>(), 0..40), 1..2000usize);
    let binary = binary.prop_map(|(bytes, times)| (DataKind::Binary, bytes.repeat(times)));
    vec(prop_oneof![text, binary], 0..5)
}

fn theirs((kind, payload): &(DataKind, Vec<u8>)) -> Message {
    match kind {
        DataKind::Text => Message::text(String::from_utf8_lossy(payload).into_owned()),
        DataKind::Binary => Message::binary(payload.clone()),
    }
}

proptest! {
    #[test]
    fn what_tungstenite_writes_is_read(messages in messages()) {
        for (role, setting) in [(Role::Client, SERVER), (Role::Server, CLIENT)] {
            let mut socket = WebSocket::from_raw_socket(Pipe::default(), role, None);
            for message in &messages {
                socket.send(theirs(message)).unwrap();
            }
            let expected: Vec<_> =
                messages.iter().cloned().map(|(kind, bytes)| Said::Message(kind, bytes)).collect();
            prop_assert_eq!(setting.hear([&socket.get_ref().written[..]]).said, expected);
        }
    }

    #[test]
    fn what_is_written_tungstenite_reads(messages in messages(), key: [u8; 4]) {
        let mut from_server = Vec::new();
        let mut from_client = Vec::new();
        for (kind, payload) in &messages {
            from_server.extend(frame(OpCode::from(*kind), payload));
            mask_frame(OpCode::from(*kind), payload, key, &mut from_client);
        }
        for (role, bytes) in [(Role::Client, from_server), (Role::Server, from_client)] {
            let config = WebSocketConfig::default();
            let mut socket = WebSocket::from_raw_socket(Cursor::new(bytes), role, Some(config));
            for message in &messages {
                prop_assert_eq!(socket.read().unwrap(), theirs(message));
            }
            prop_assert!(socket.read().is_err(), "and no more");
        }
    }
}
