//! Bytes to WebSocket to STOMP, fed as the engine's connection feeds them.

use stomp::Version;
use websocket::{Deflate, Event, Limits, Receiver, Role, Violation};

use crate::{broker::Broker, pieces::pieces};

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// There is no more.
    Open,
    /// The client closed.
    Closed,
    Violation(Violation),
}

/// However a client's bytes are cut, the server does the same things in the same order; and what must hold of a
/// session holds.
///
/// The first byte chooses sub-protocol and compression, the second how the rest is cut.
pub fn connection(attempt: &[u8]) {
    let [form, longest, stream @ ..] = attempt else { return };
    let (whole, end) = serve(*form, [stream]);
    let (cut, cut_end) = serve(*form, pieces(stream, *longest));
    assert_eq!(end, cut_end);
    if matches!(end, End::Violation(_)) {
        // Of a part with a fault in it nothing is given out: where parts are shorter, more came before it.
        assert!(whole.iter().zip(&cut).all(|(whole, cut)| whole == cut), "{whole:?}\n{cut:?}");
    } else {
        assert_eq!(whole, cut);
    }
}

/// What the server did.
fn serve<'a>(form: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, End) {
    let sub_protocol = [None, Some(Version::V10), Some(Version::V11), Some(Version::V12)];
    let mut broker = Broker::new(sub_protocol[usize::from(form % 4)]);
    let deflate = (form & 4 == 0).then(Deflate::default);
    let mut receiver = Receiver::new(Role::Server, Limits { message_bytes: 1000 }, deflate);
    let mut did = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let end = receive(&mut broker, &mut receiver, &mut piece);
        while let Some(action) = broker.work(true) {
            did.push(action);
            broker.deliver(0, 1);
        }
        if end != End::Open {
            broker.end();
            return (did, end);
        }
    }
    broker.end();
    (did, End::Open)
}

fn receive(broker: &mut Broker, receiver: &mut Receiver, piece: &mut [u8]) -> End {
    let mut at = 0;
    while at < piece.len() {
        match receiver.receive(&mut piece[at..]) {
            Ok((used, event)) => {
                at += used;
                match event {
                    None => {}
                    Some(Event::Data { bytes, .. }) => broker.receive(&bytes),
                    Some(Event::Ping(_) | Event::Pong(_)) => broker.heard(),
                    Some(Event::Close(_)) => return End::Closed,
                }
            }
            Err(violation) => return End::Violation(violation),
        }
    }
    End::Open
}
