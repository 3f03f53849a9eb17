use std::collections::VecDeque;

use shared::{Seq, testing};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::*;
use crate::connection::{Batch, ConnectionId, flusher::Flushers};

const ID: SubscriberId = SubscriberId(1);

/// A way out of at most `max_bytes`, and the client's end of it.
pub(crate) async fn pair(max_bytes: usize) -> (Arc<Outbox>, TcpStream, tokio::net::tcp::OwnedReadHalf) {
    pair_with(max_bytes, TcpSocket::new_v4().unwrap()).await
}

async fn pair_with(
    max_bytes: usize,
    client: TcpSocket,
) -> (Arc<Outbox>, TcpStream, tokio::net::tcp::OwnedReadHalf) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
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
    acknowledged(&outbox, Seq::from_raw(1)).await;
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

/// Waits until so much was acknowledged: a kernel takes its time.
async fn acknowledged(outbox: &Outbox, reached: Option<Seq>) {
    let look = async || outbox.reached(ID);
    testing::becomes(&format!("{reached:?} to be acknowledged"), look, |now| *now == reached).await;
}

/// Somebody who reads nothing, of a hundred records of 500 bytes.
async fn deaf() -> (Arc<Outbox>, TcpStream, tokio::net::tcp::OwnedReadHalf) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let (outbox, client, reader) = pair_with(100_000, socket).await;
    for seq in 1..=100 {
        assert!(outbox.push(marked(b'x', 500, seq)));
        while outbox.flush() {}
    }
    assert!(outbox.standing().drained);
    (outbox, client, reader)
}

/// Waits until everything that has come to the client's machine counts as taken, and looks that never more does.
async fn settled(outbox: &Outbox, client: &TcpStream) -> Seq {
    let mut came = vec![0; 100_000];
    let look = async || {
        let reached = outbox.reached(ID).expect("not everything came");
        let bytes = client.peek(&mut came).await.unwrap();
        let whole = Seq::from_raw(i64::try_from(bytes / 500).unwrap()).unwrap();
        assert!(reached <= whole, "{reached} of {bytes} bytes");
        (reached, whole)
    };
    let settled = |(reached, whole): &(Seq, Seq)| reached == whole && *reached > Seq::ZERO;
    testing::becomes("what came to count as taken", look, settled).await.0
}

#[tokio::test]
async fn what_a_kernel_holds_for_who_does_not_read_is_not_taken() {
    let (outbox, mut client, _reader) = deaf().await;
    settled(&outbox, &client).await;
    // It reads on, and has everything.
    client.read_exact(&mut vec![0; 50_000]).await.unwrap();
    acknowledged(&outbox, None).await;
}

#[tokio::test]
async fn a_reset_leaves_what_was_taken_known() {
    let (outbox, client, _reader) = deaf().await;
    let taken = settled(&outbox, &client).await;
    client.set_zero_linger().unwrap();
    drop(client);
    while outbox.standing().socket != SocketState::Gone {
        let _ = outbox.push(marked(b'x', 500, 101));
        while outbox.flush() {}
        tokio::task::yield_now().await;
    }
    assert!(
        outbox.reached(ID).is_some_and(|reached| reached >= taken && reached < Seq::from_raw(50).unwrap())
    );
    let at_the_end = outbox.reached(ID);
    outbox.end();
    assert_eq!(outbox.reached(ID), at_the_end);
}

#[tokio::test]
async fn what_comes_to_a_machine_after_the_end_was_not_taken() {
    let (outbox, mut client, _reader) = deaf().await;
    let taken = settled(&outbox, &client).await;
    outbox.end();
    let mut read = Vec::new();
    client.read_to_end(&mut read).await.unwrap();
    assert_eq!(read.len(), 50_000);
    assert!(
        outbox.reached(ID).is_some_and(|reached| reached >= taken && reached < Seq::from_raw(50).unwrap())
    );
}

#[tokio::test]
async fn what_is_written_and_not_noted_yet_is_waited_for_at_the_end() {
    let (outbox, mut client, mut reader) = pair(1_000).await;
    // Who asks and who notes are as fast as each other: one of many rounds would go wrong.
    for seq in 1..=200 {
        assert!(outbox.push(marked(b'x', 10, seq)));
        let frames = {
            let mut state = outbox.state.lock();
            state.writing = true;
            state.queue.take()
        };
        assert_eq!(outbox.socket.try_write(&frames[0]).unwrap(), 10);
        // Whoever wrote that is not at their turn now. The client has it, and says so.
        client.read_exact(&mut [0; 10]).await.unwrap();
        client.write_all(b"u").await.unwrap();
        reader.read_exact(&mut [0]).await.unwrap();
        let (begins, begun) = std::sync::mpsc::channel();
        let asking = std::thread::spawn({
            let outbox = outbox.clone();
            move || {
                begins.send(()).unwrap();
                outbox.reached_at_last(ID)
            }
        });
        begun.recv().unwrap();
        {
            let mut state = outbox.state.lock();
            state.queue.put_back(VecDeque::new(), 10);
            state.writing = false;
        }
        assert_eq!(asking.join().unwrap(), None, "all of it came");
    }
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
