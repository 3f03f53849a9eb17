//! Bytes to parts of WebSocket messages.

use websocket::{DataKind, Deflate, Event, Limits, Receiver, Role, Violation};

use crate::pieces::pieces;

/// One thing that a peer said, with the parts of messages joined.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Message(DataKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// However a stream is cut, it says the same and ends the same; no message is longer than allowed.
///
/// The first byte chooses role, limit and compression, the second how the rest is cut.
pub fn websocket(attempt: &[u8]) {
    let [form, longest, stream @ ..] = attempt else { return };
    let role = if form & 1 == 0 { Role::Server } else { Role::Client };
    let deflate = (form & 2 == 0).then(Deflate::default);
    let limits = Limits { message_bytes: [100, 70_000][usize::from(form >> 2 & 1)] };

    let whole = hear(Receiver::new(role, limits, deflate), limits, [stream]);
    let cut = hear(Receiver::new(role, limits, deflate), limits, pieces(stream, *longest));
    assert_eq!(whole, cut);
}

/// What was said, and how it ended: in the middle of something, or with a violation.
fn hear<'a>(
    mut receiver: Receiver,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Said>, Result<bool, Violation>) {
    let (mut said, mut message) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            let length = rest.len();
            let (used, event) = match receiver.receive(rest) {
                Ok(used_and_event) => used_and_event,
                Err(violation) => return (said, Err(violation)),
            };
            assert!(used <= length);
            match event {
                None => {
                    assert_eq!(used, length, "nothing to say only when all is used");
                    break;
                }
                Some(Event::Data { kind, bytes, last }) => {
                    message.extend_from_slice(&bytes);
                    assert!(message.len() <= limits.message_bytes);
                    if last {
                        let message = std::mem::take(&mut message);
                        assert!(kind == DataKind::Binary || str::from_utf8(&message).is_ok());
                        said.push(Said::Message(kind, message));
                    }
                }
                Some(Event::Ping(payload)) => said.push(Said::Ping(payload.into_owned())),
                Some(Event::Pong(payload)) => said.push(Said::Pong(payload.into_owned())),
                Some(Event::Close(frame)) => {
                    said.push(Said::Close(frame.map(|frame| (frame.code, frame.reason.into_owned()))));
                    return (said, Ok(false));
                }
            }
            rest = &mut rest[used..];
        }
    }
    (said, Ok(receiver.is_mid_frame()))
}
