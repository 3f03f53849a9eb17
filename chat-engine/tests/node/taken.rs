//! Who stops reading has read what came to their machine, and nothing of what lies in the node's: however it ends.

use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use stomp::{Command, Version};
use tokio::net::TcpSocket;
use websocket::OpCode;

use crate::{
    client::{Client, PATIENCE},
    crash::Node,
    peer::Peer,
    redis,
    world::{Backing, Person, World, with_world_as},
};

/// More than comes to somebody who does not read, and less than makes them slow.
const MESSAGES: usize = 100;

/// How it ends.
#[derive(Clone, Copy)]
enum End {
    Reset,
    /// The node has waited for long enough.
    Timeout,
    Unsubscribe,
    Disconnect,
}

/// Somebody who follows a room and does not read what comes.
async fn deaf(addr: std::net::SocketAddr, person: &Person, room: i64) -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let peer = Peer::dial_with(addr, socket).await.upgraded("").await;
    let mut peer = peer.connected(&person.token, Version::V12).await;
    peer.subscribe("chat", &format!("/chat/{room}")).await;
    peer
}

/// Says much, with two others in the room.
async fn talk(client: &mut Client, room: i64) -> Vec<i64> {
    let (mut seqs, content) = (Vec::new(), "긴 이야기 ".repeat(30));
    for _ in 0..MESSAGES {
        seqs.push(client.post(room, &content).await);
    }
    for seq in &seqs {
        client.expect_count(*seq, 0).await;
    }
    seqs
}

/// How many of these came to a machine, and that not all of them did.
async fn came(peer: &Peer, seqs: &[i64]) -> usize {
    let mut frames = peer.pending().await;
    frames.retain(|frame| frame.contains("\nseq:"));
    for (frame, seq) in frames.iter().zip(seqs) {
        assert!(frame.contains(&format!("\nseq:{seq}\n")), "{seq} is not in {frame}");
    }
    assert!((1..seqs.len() / 2).contains(&frames.len()), "{} came", frames.len());
    frames.len()
}

/// That one of the members has read the first `read` of these, and the others everything.
async fn expect_read(client: &mut Client, seqs: &[i64], read: usize) {
    client.expect_count(*seqs.last().unwrap(), 1).await;
    let expected = |n| i64::from(n >= read);
    for (n, seq) in seqs.iter().enumerate() {
        assert_eq!(
            client.counts()[seq],
            expected(n),
            "message {n}, of which {read} came: {:?}",
            client.counts()
        );
    }
}

async fn who_did_not_read(backing: Backing, end: End) {
    with_world_as(backing, &["--frame-timeout-ms", "300"], async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut b = deaf(world.addr_for(&bo), &bo, room).await;
        let seqs = talk(&mut a, room).await;
        let came = came(&b, &seqs).await;
        match end {
            End::Reset => b.reset(),
            End::Timeout => b.send(OpCode::Text, b"SEND\n").await,
            End::Unsubscribe => b.say(Command::Unsubscribe, &[("id", "chat")], b"").await,
            End::Disconnect => b.say(Command::Disconnect, &[("receipt", "bye")], b"").await,
        }
        expect_read(&mut a, &seqs, came).await;
    })
    .await;
}

macro_rules! on_both_backends {
    ($($test:ident: $end:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test] async fn $test() {
                super::who_did_not_read(super::Backing::Embedded, super::End::$end).await;
            })*
        }
        mod cluster {
            $(#[tokio::test] async fn $test() {
                super::who_did_not_read(super::Backing::Cluster, super::End::$end).await;
            })*
        }
    };
}

on_both_backends!(
    who_is_reset_has_read_what_came_to_them: Reset,
    who_is_given_up_has_read_what_came_to_them: Timeout,
    who_unsubscribes_has_read_what_came_to_them: Unsubscribe,
    who_disconnects_has_read_what_came_to_them: Disconnect,
);

/// Anna, on a node that stays; Bo, who reads everything, and Cy, who does not, on one that ends.
async fn on_a_node_that_ends(end: impl AsyncFnOnce(Node)) {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let (doomed, survivor) = tokio::join!(Node::start(world), Node::start(world));
        let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo, &cy]).await;
        let mut a = Client::connect(survivor.addr, &anna.token).await;
        a.follow(room).await;
        let mut b = Client::connect(doomed.addr, &bo.token).await;
        b.follow(room).await;
        let c = deaf(doomed.addr, &cy, room).await;
        let seqs = talk(&mut a, room).await;
        let last = *seqs.last().unwrap();
        b.expect_count(last, 0).await;
        let came = came(&c, &seqs).await;
        // Said within a second: Bo, and who else may be there, has everything, and Cy what came to them.
        let of_cy = |line: &str| unnumbered(line).strip_prefix(&format!("{last} {}:", cy.id))?.parse().ok();
        let up_to_there = |seq| (seqs[came - 1]..seqs[came]).contains(&seq);
        let said = |line: &str| of_cy(line).is_some_and(up_to_there);
        redis::value_becomes(&checkpoints(world, room), said).await;
        end(doomed).await;
        let unread = a.post(room, "거기 있어?").await;
        let out = a.expect_count(unread, 2);
        tokio::time::timeout(PATIENCE, out).await.expect("nobody of that node reads any more");
        expect_read(&mut a, &seqs, came).await;
        drop((b, c, survivor));
    })
    .await;
}

/// A checkpoint without its number, which comes first.
fn unnumbered(line: &str) -> &str {
    line.split_once(' ').map_or("", |(_, rest)| rest)
}

fn checkpoints(world: &World, room: i64) -> String {
    format!("{}{{room:{room}}}:checkpoints", world.prefix())
}

#[tokio::test]
async fn who_came_into_a_silent_room_on_a_killed_node_of_a_cluster_has_read_it() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let (mut doomed, survivor) = tokio::join!(Node::start(world), Node::start(world));
        let (anna, bo, cy) = (world.person().await, world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo, &cy]).await;
        let mut a = Client::connect(survivor.addr, &anna.token).await;
        // Nobody reads on that node.
        a.listen(room, 0).await;
        let seq = a.post(room, "다들 어디야?").await;
        a.expect_count(seq, 2).await;
        // Each in turn, and nothing else happens there.
        let mut others = Vec::new();
        for (left, person) in [(1, &bo), (0, &cy)] {
            let mut other = Client::connect(doomed.addr, &person.token).await;
            other.follow_with_history(room, 10).await;
            a.expect_count(seq, left).await;
            let said = |line: &str| unnumbered(line) == seq.to_string();
            // Of who came since, too: until then they are named by themselves.
            let of_all = |text: &str| text.lines().any(said) && !text.contains('@');
            redis::hash_becomes(&checkpoints(world, room), of_all).await;
            others.push(other);
        }
        doomed.process.kill().await.unwrap();
        let unread = a.post(room, "거기 있어?").await;
        a.expect_count(unread, 2).await;
        assert_eq!(a.counts()[&seq], 0);
        drop((others, survivor));
    })
    .await;
}

#[tokio::test]
async fn of_those_who_came_and_went_a_room_of_a_cluster_keeps_nothing() {
    with_world_as(Backing::Cluster, &[], async |world: &World| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        // Nobody reads by this, and it keeps the room open.
        let mut a = Client::connect(world.addr_for(&bo), &anna.token).await;
        a.listen(room, 0).await;
        for n in 0..3 {
            let b = world.connect_to(&bo, room).await;
            b.disconnect().await;
            a.post(room, &format!("{n}")).await;
        }
        redis::value_becomes(&checkpoints(world, room), |line| unnumbered(line) == "0").await;
    })
    .await;
}

#[tokio::test]
async fn who_read_on_a_killed_node_of_a_cluster_has_read_what_it_had_said() {
    on_a_node_that_ends(async |mut node| node.process.kill().await.unwrap()).await;
}

#[tokio::test]
async fn who_read_on_a_node_of_a_cluster_that_leaves_has_read_what_came_to_them() {
    on_a_node_that_ends(async |mut node| {
        let id = node.process.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        let ended: ExitStatus = tokio::time::timeout(PATIENCE, node.process.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}");
    })
    .await;
}
