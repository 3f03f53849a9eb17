use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::connection::{Batch, ConnectionId, flusher::Flushers};

const ID: SubscriberId = SubscriberId(1);

/// A way out of at most `max_bytes`, and the client's end of it.
async fn pair(max_bytes: usize) -> (Arc<Outbox>, TcpStream, tokio::net::tcp::OwnedReadHalf) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    socket.writable().await.unwrap();
    let (reader, writer) = socket.into_split();
    let flusher = Flushers::start(1, &Arc::default()).of(ConnectionId(0));
    (Arc::new(Outbox::new(writer, flusher, max_bytes, None)), client, reader)
}

fn marked(byte: u8, length: usize, seq: i64) -> Outgoing {
    let mark = Some((ID, Seq::from_raw(seq).unwrap()));
    Outgoing { frame: vec![byte; length].into(), mark }
}

/// Queues until the socket takes no more.
fn fill(outbox: &Outbox) {
    while outbox.standing().socket == SocketState::Open {
        assert!(outbox.push(marked(b'x', 10_000, 1)));
        while outbox.flush() {}
    }
}

#[tokio::test]
async fn only_the_first_of_a_batch_needs_a_flush_and_all_leave_in_order() {
    let (outbox, mut client, _reader) = pair(1_000).await;
    let mut batch = Batch::default();
    for byte in *b"abc" {
        batch.push(&outbox, marked(byte, 2, 1));
    }
    assert_eq!(batch.0.len(), 1);
    drop(batch);
    // The flusher has ended with its node.
    while outbox.flush() {}
    let mut read = [0; 6];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"aabbcc");
    assert!(outbox.standing().drained);
}

#[tokio::test]
async fn much_at_once_makes_nobody_slow() {
    let (outbox, mut client, _reader) = pair(1_000).await;
    let mut batch = Batch::default();
    for _ in 0..100 {
        batch.push(&outbox, marked(b'x', 400, 1));
    }
    assert!(!outbox.is_closing());
    drop(batch);
    while outbox.flush() {}
    client.read_exact(&mut vec![0; 40_000]).await.unwrap();
}

#[tokio::test]
async fn closing_comes_after_what_is_queued_and_the_first_reason_stands() {
    let (outbox, mut client, _reader) = pair(1_000).await;
    let _ = outbox.push(marked(b'x', 5, 1));
    outbox.close(CloseReason::GoingAway);
    outbox.close(CloseReason::TokenExpired);
    assert!(!outbox.push(marked(b'y', 5, 2)));
    while outbox.flush() {}
    outbox.end();
    let mut read = Vec::new();
    client.read_to_end(&mut read).await.unwrap();
    assert!(read.starts_with(b"xxxxx"));
    let text = String::from_utf8_lossy(&read);
    assert!(text.contains("ERROR\n") && text.ends_with(CloseReason::GoingAway.text()), "{text}");
    assert_eq!(outbox.reached(ID), Seq::from_raw(1));
}

#[tokio::test]
async fn who_is_too_slow_is_told_why_once_it_reads() {
    let (outbox, mut client, reader) = pair(100_000).await;
    fill(&outbox);
    // Beyond the kernel's buffers the queue is bounded.
    let queued = (2..50).take_while(|seq| !outbox.push(marked(b'y', 10_000, *seq)) && !outbox.is_closing());
    assert!(queued.count() <= 10);
    assert_eq!(outbox.standing().closing, Some(CloseReason::TooSlow));
    let drain = async {
        while !outbox.standing().drained {
            let socket: &TcpStream = reader.as_ref();
            socket.writable().await.unwrap();
            outbox.writable();
        }
        outbox.end();
    };
    let mut read = Vec::new();
    let (all, ()) = tokio::join!(client.read_to_end(&mut read), drain);
    all.unwrap();
    // A frame that had begun is finished; what was behind it is not sent.
    assert!(!read.contains(&b'y'));
    assert!(String::from_utf8_lossy(&read).ends_with(CloseReason::TooSlow.text()));
    assert!(outbox.reached(ID).is_some());
}

#[tokio::test]
async fn a_peer_that_is_gone_is_noticed() {
    let (outbox, client, _reader) = pair(1 << 20).await;
    // Unread bytes make its close a reset.
    let _ = outbox.push(marked(b'x', 10, 1));
    while outbox.flush() {}
    drop(client);
    while outbox.standing().socket != SocketState::Gone {
        let _ = outbox.push(marked(b'x', 10, 2));
        while outbox.flush() {}
        tokio::task::yield_now().await;
    }
}
