//! Who reads too slowly is told so, and costs the others nothing.

use stomp::Version;
use tokio::net::TcpSocket;

use crate::{
    peer::Peer,
    world::{Backing, World, metric, metric_becomes, with_world_as},
};

/// What the kernel takes off a server's hands at most, for a client whose receive buffer is small.
pub(crate) fn kernel_buffers() -> usize {
    let wmem = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").unwrap_or_default();
    let most = wmem.split_whitespace().next_back().and_then(|bytes| bytes.parse().ok());
    most.unwrap_or(4 << 20) + 100_000
}

const TOO_SLOW: &str = "moyiza_connections_closed_total{reason=\"too-slow\"}";

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_reads_among_fifty_that_do() {
    const QUEUED: usize = 1_000_000;
    const BODY: usize = 8_000;
    // Follows the topic so often that few messages are many bytes for it, and few for the others.
    const TIMES: usize = 50;
    with_world_as(Backing::Embedded, &["--max-queued-bytes", &QUEUED.to_string()], async |world| {
        let anna = world.person().await;
        let connect = async || Peer::connect(world.addr(), &anna.token, Version::V12).await;
        let mut readers = Vec::new();
        for _ in 0..50 {
            let mut reader = connect().await;
            reader.subscribe("s", "/topic/slow").await;
            readers.push(reader);
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let slow = Peer::dial_with(world.addr(), socket).await.upgraded("").await;
        let mut slow = slow.connected(&anna.token, Version::V12).await;
        for n in 0..TIMES {
            slow.subscribe(&n.to_string(), "/topic/slow").await;
        }
        let mut sender = connect().await;
        // All that can wait for it anywhere, and as much again as may be queued.
        let messages = (kernel_buffers() + 2 * QUEUED).div_ceil(BODY * TIMES);
        for n in 0..messages {
            sender.publish("/topic/slow", &format!("{n:<BODY$}")).await;
            for reader in &mut readers {
                assert_eq!(reader.body().await.trim_end(), n.to_string());
            }
        }
        // It learns why once it reads. What it could not take is gone: no more than the queue and the kernel hold,
        // in order, and whole.
        let farewell = slow.farewell().await;
        let came = farewell.messages.len();
        for (n, message) in farewell.messages.iter().enumerate() {
            assert_eq!(message.trim_end(), (n / TIMES).to_string());
        }
        assert!(came * BODY <= kernel_buffers() + QUEUED, "{came} of {}", messages * TIMES);
        assert_eq!(
            farewell.close,
            Some((1013, "too slow, reconnect and resume (MOYIZA_MAX_QUEUED_BYTES)".into())),
            "{farewell:?}"
        );
        metric_becomes(world.addr(), TOO_SLOW, 1).await;
        // It comes back, and all is well.
        let mut back = connect().await;
        back.subscribe("s", "/topic/slow").await;
        sender.publish("/topic/slow", "again").await;
        for peer in readers.iter_mut().chain([&mut back]) {
            assert_eq!(peer.body().await, "again");
        }
    })
    .await;
}

/// Much at once is not too slow: the limit is for what the client does not take.
async fn a_burst_longer_than_the_queue_is_read(backing: Backing) {
    with_world_as(backing, &["--max-queued-bytes", "50000"], async |world| {
        const MESSAGES: usize = 200;
        let anna = world.person().await;
        let mut addrs = world.addrs();
        let mut connect = async || Peer::connect(addrs.next().unwrap(), &anna.token, Version::V12).await;
        let (mut sender, mut reader) = (connect().await, connect().await);
        // Twice, so that one message of another's is more than may be queued.
        for n in 0..20 {
            reader.subscribe(&n.to_string(), "/topic/wide").await;
        }
        reader.subscribe("s", "/topic/burst").await;
        let write = async {
            sender.publish("/topic/wide", &"x".repeat(5_000)).await;
            for n in 0..MESSAGES {
                sender.publish("/topic/burst", &format!("{n:<5000}")).await;
            }
        };
        let read = async {
            for _ in 0..20 {
                assert_eq!(reader.body().await.len(), 5_000);
            }
            for n in 0..MESSAGES {
                assert_eq!(reader.body().await.trim_end(), n.to_string());
            }
        };
        tokio::join!(write, read);
        assert_eq!(too_slow(world).await, 0);
    })
    .await;
}

async fn too_slow(world: &World) -> u64 {
    metric(world.addr(), TOO_SLOW).await
}

mod embedded {
    use crate::world::Backing;

    #[tokio::test]
    async fn a_burst_longer_than_the_queue_is_read() {
        super::a_burst_longer_than_the_queue_is_read(Backing::Embedded).await;
    }
}

mod cluster {
    use crate::world::Backing;

    #[tokio::test]
    async fn a_burst_longer_than_the_queue_is_read() {
        super::a_burst_longer_than_the_queue_is_read(Backing::Cluster).await;
    }
}
