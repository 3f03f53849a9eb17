//! A node is killed while everybody talks.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use shared::testing;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command as Process},
    sync::Notify,
};

use crate::{
    client::Client,
    load::content,
    redis,
    world::{Backing, Person, World, with_world_as},
};

const ROOMS: usize = 5;
const PEOPLE: usize = 50;
const MESSAGES_EACH: usize = 20;

/// A node as a process of its own.
pub(crate) struct Node {
    pub(crate) process: Child,
    pub(crate) addr: SocketAddr,
}

impl Node {
    pub(crate) async fn start(world: &World) -> Self {
        Self::start_on(world, &testing::server("MOYIZA_TEST_REDIS_URL")).await
    }

    pub(crate) async fn start_on(world: &World, redis_url: &str) -> Self {
        Self::start_with(world, redis_url, &[]).await
    }

    pub(crate) async fn start_with(world: &World, redis_url: &str, arguments: &[&str]) -> Self {
        let mut process = Process::new(env!("CARGO_BIN_EXE_chat-engine"))
            .args(["--engine-addr", "127.0.0.1:0", "--log-partitions", "2", "--log", "warn"])
            .args([
                "--prefix",
                world.prefix(),
                "--database-url",
                world.database_url(),
                "--database-connections",
                "4",
            ])
            .args(["--kafka-brokers", &testing::server("MOYIZA_TEST_KAFKA_BROKERS")])
            .args(["--redis-url", redis_url])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the node says where it listens");
        let addr = line.strip_prefix("chat-engine is listening on ").unwrap().parse().unwrap();
        Self { process, addr }
    }
}

/// Anna on the first of these nodes and Bo on the other, the members of a room that both follow.
pub(crate) async fn two_apart(world: &World, nodes: [&Node; 2]) -> ([Person; 2], i64, [Client; 2]) {
    let (people, room) = world.room_of_people().await;
    let mut clients = Vec::new();
    for (node, person) in nodes.iter().zip(&people) {
        let mut client = Client::connect(node.addr, &person.token).await;
        client.follow(room).await;
        clients.push(client);
    }
    let Ok(clients) = clients.try_into() else { panic!("there are two") };
    (people, room, clients)
}

/// What the people have done so far.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicUsize,
    half_way: Notify,
}

#[tokio::test]
async fn killing_a_node_of_a_cluster_loses_no_acknowledged_message() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let (mut doomed, survivor) = tokio::join!(Node::start(world), Node::start(world));
        let (people, rooms) = world.crowd(PEOPLE, ROOMS).await;
        let progress = Arc::new(Progress::default());
        let (mut on_doomed, mut on_survivor) = (Vec::new(), Vec::new());
        for (n, person) in people.iter().enumerate() {
            let room = rooms[n % ROOMS];
            // Ten people in each room, five of them on either node.
            let (addr, tasks) = if (n / ROOMS).is_multiple_of(2) {
                (doomed.addr, &mut on_doomed)
            } else {
                (survivor.addr, &mut on_survivor)
            };
            let mut client = Client::connect(addr, &person.token).await;
            client.follow(room).await;
            tasks.push((room, client, n));
        }
        let talk = |(room, client, n), progress: &Arc<Progress>| {
            let progress = progress.clone();
            (room, tokio::spawn(async move { talk(client, n, room, &progress).await }))
        };
        let on_doomed: Vec<_> = on_doomed.into_iter().map(|task| talk(task, &progress)).collect();
        let on_survivor: Vec<_> = on_survivor.into_iter().map(|task| talk(task, &progress)).collect();
        progress.half_way.notified().await;
        doomed.process.kill().await.unwrap();

        let mut acknowledged = Vec::new();
        for (room, task) in on_doomed {
            let (receipts, _) = task.await.unwrap();
            acknowledged.extend(receipts.into_iter().map(|receipt| (room, receipt)));
        }
        assert!(acknowledged.len() < PEOPLE / 2 * MESSAGES_EACH, "the node died in the middle");
        let mut views = Vec::new();
        for (room, task) in on_survivor {
            let (receipts, client) = task.await.unwrap();
            assert_eq!(receipts.len(), MESSAGES_EACH);
            acknowledged.extend(receipts.into_iter().map(|receipt| (room, receipt)));
            views.push((room, client));
        }
        for room in &rooms {
            let of_room: Vec<_> = acknowledged.iter().filter(|(of, _)| of == room).collect();
            let last = of_room.iter().map(|(_, (seq, _))| *seq).max().unwrap();
            let rows = world.rows_up_to(*room, last).await;
            for (_, receipt) in &of_room {
                assert!(rows.contains(receipt), "acknowledged and lost: {receipt:?}");
            }
            // And the others saw each of them once, in order.
            for (_, client) in views.iter_mut().filter(|(of, _)| of == room) {
                let seen = client.seen_up_to(last).await;
                let expected: Vec<_> = rows.iter().filter(|(seq, _)| *seq <= last).cloned().collect();
                assert_eq!(seen, expected);
            }
        }
        drop(survivor);
    })
    .await;
}

#[tokio::test]
async fn who_read_on_a_dead_node_of_a_cluster_reads_no_more() {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let (mut doomed, survivor) = tokio::join!(Node::start(world), Node::start(world));
        let ([_, bo], room, [mut a, mut b]) = two_apart(world, [&survivor, &doomed]).await;
        let read = a.post(room, "둘이 봄").await;
        a.expect_count(read, 0).await;
        b.expect_count(read, 0).await;
        doomed.process.kill().await.unwrap();
        let unread = a.post(room, "거기 있어?").await;
        a.expect_count(unread, 1).await;
        // Bo comes back to the other node, and has read everything.
        let mut b = Client::connect(survivor.addr, &bo.token).await;
        b.follow(room).await;
        a.expect_count(unread, 0).await;
        a.expect_count(read, 0).await;
        drop(survivor);
    })
    .await;
}

#[tokio::test]
async fn positions_that_redis_lost_come_back_to_a_cluster() {
    with_world_as(Backing::Cluster, &[], async |world| {
        let (anna, bo) = (world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut b = world.connect_to(&bo, room).await;
        let read = a.post(room, "둘이 봄").await;
        a.expect_count(read, 0).await;
        b.expect_count(read, 0).await;
        world.rows_up_to(room, read).await;

        let prefix = world.prefix();
        let tag = format!("{prefix}{{room:{room}}}");
        redis::forget(&tag).await;
        assert!(redis::ask(&format!("DEL {prefix}{{nodes}}:living")).await.starts_with(':'));
        // The nodes find out when they renew their leases, and say again that both are reading.
        redis::answer_becomes(&format!("EXISTS {tag}:active"), |answer| answer.starts_with(":1")).await;
        let seq = a.post(room, "아직 둘이지?").await;
        a.expect_count(seq, 0).await;
        b.expect_count(seq, 0).await;
        b.disconnect().await;
        let unread = a.post(room, "이제 혼자").await;
        a.expect_count(unread, 1).await;
        a.expect_count(seq, 0).await;
        a.expect_count(read, 0).await;
    })
    .await;
}

/// Sends one message after the other: (seq, content) of those that were acknowledged before the node was gone.
async fn talk(
    mut client: Client,
    person: usize,
    room: i64,
    progress: &Progress,
) -> (Vec<(i64, String)>, Client) {
    let mut acknowledged = Vec::new();
    for n in 0..MESSAGES_EACH {
        let content = format!("{person}/{n}");
        let Some(seq) = client.try_post(room, &content).await else { break };
        acknowledged.push((seq, content));
        if progress.acknowledged.fetch_add(1, Ordering::Relaxed) == PEOPLE * MESSAGES_EACH / 3 {
            progress.half_way.notify_one();
        }
    }
    (acknowledged, client)
}

impl Client {
    /// Every message that came, up to the one at `last`: (seq, content).
    async fn seen_up_to(&mut self, last: i64) -> Vec<(i64, String)> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|(seq, _)| *seq < last) {
            let frame = self.next().await.expect("the survivor goes on");
            if let Some(seq) = frame.headers.first("unread").and(frame.headers.first("seq")) {
                seen.push((seq.parse().unwrap(), content(&frame.body)));
            }
        }
        seen
    }
}
