//! Nodes on a Redis of a test's own, and what everybody is to agree on when it is quiet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use chat_engine::Running;

use super::way::Way;
use crate::{
    client::{Client, PATIENCE},
    history,
    redis_server::RedisServer,
    world::{Backing, Person, World, with_world_as},
};

/// Two nodes, their Redis, and the way of each to it.
pub(super) struct Ground<'a> {
    pub(super) world: &'a World,
    pub(super) redis: RedisServer,
    pub(super) ways: [Way; 2],
    pub(super) nodes: Vec<Running>,
}

/// Runs `test` on two nodes that are configured like this.
pub(super) async fn with_ground(arguments: &[&str], test: impl AsyncFnOnce(&mut Ground<'_>)) {
    with_world_as(Backing::ProcessesOnly, &[], async |world| {
        let redis = RedisServer::start().await;
        let ways = [Way::to(redis.port()).await, Way::to(redis.port()).await];
        let mut nodes = Vec::new();
        for way in &ways {
            nodes.push(history::node(world, arguments, world.database_url(), &way.url()).await);
        }
        let mut ground = Ground { world, redis, ways, nodes };
        test(&mut ground).await;
        for node in ground.nodes {
            history::stop(node).await;
        }
    })
    .await;
}

impl Ground<'_> {
    pub(super) fn addr(&self, node: usize) -> SocketAddr {
        self.nodes[node].addr()
    }

    /// Connected to a node and following, with all that was said so far.
    pub(super) async fn follow(&self, node: usize, person: &Person, room: i64) -> Client {
        follow(self.addr(node), person, room).await
    }

    /// The name of one of a room's keys.
    pub(super) fn key(&self, room: i64, name: &str) -> String {
        format!("{}{{room:{room}}}:{name}", self.world.prefix())
    }

    /// Waits until Redis knows that somebody reads, or reads no more.
    pub(super) async fn reads(&self, room: i64, person: &Person, whether: bool) {
        let question = format!("HEXISTS {} {}", self.key(room, "active"), person.id);
        self.redis.ask_until(&question, if whether { ":1" } else { ":0" }).await;
    }

    pub(super) async fn agree(&self, room: i64, members: &[&Person], tabs: &mut [(&Person, &mut Client)]) {
        let addrs: Vec<_> = self.nodes.iter().map(Running::addr).collect();
        agree(&self.redis, self.world.prefix(), &addrs, room, members, tabs).await;
    }
}

pub(super) async fn follow(addr: SocketAddr, person: &Person, room: i64) -> Client {
    let mut client = Client::connect(addr, &person.token).await;
    client.follow_with_history(room, 200).await;
    client
}

/// Where the members stand who are not reading, as Redis has it.
pub(super) async fn positions(redis: &RedisServer, prefix: &str, room: i64) -> BTreeMap<i64, i64> {
    let answer = redis.ask(&format!("ZRANGE {prefix}{{room:{room}}}:positions 0 -1 WITHSCORES")).await;
    let words: Vec<i64> = words(&answer).iter().map(|word| word.parse().unwrap()).collect();
    words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Who is reading, as Redis has it, and on how many nodes.
pub(super) async fn readers(redis: &RedisServer, prefix: &str, room: i64) -> BTreeMap<i64, usize> {
    let answer = redis.ask(&format!("HGETALL {prefix}{{room:{room}}}:active")).await;
    let words = words(&answer);
    let pairs = words.chunks_exact(2);
    pairs
        .map(|pair| (pair[0].parse().unwrap(), pair[1].split(' ').nth(2).unwrap().split(',').count()))
        .collect()
}

/// The words in an answer that is a list of them.
fn words(answer: &str) -> Vec<&str> {
    let lines: Vec<_> = answer.lines().collect();
    lines.windows(2).filter(|pair| pair[0].starts_with('$')).map(|pair| pair[1]).collect()
}

/// Waits until it is quiet and everybody agrees: `tabs` are all that are open in the room, each shows what somebody sees
/// who looks for the first time, on any node, and that follows from the positions in Redis, where exactly the members
/// without a tab have one.
pub(super) async fn agree(
    redis: &RedisServer,
    prefix: &str,
    nodes: &[SocketAddr],
    room: i64,
    members: &[&Person],
    tabs: &mut [(&Person, &mut Client)],
) {
    let reading: BTreeSet<i64> = tabs.iter().map(|(person, _)| person.id.get()).collect();
    let away: BTreeSet<i64> =
        members.iter().map(|member| member.id.get()).filter(|id| !reading.contains(id)).collect();
    let last = parking_lot::Mutex::new(String::new());
    let agreeing = async {
        loop {
            let before = positions(redis, prefix, room).await;
            let mut seen = Vec::new();
            for addr in nodes {
                seen.push(look(*addr, members[0], room).await);
            }
            for (_, tab) in tabs.iter_mut() {
                tab.drain().await;
                seen.push(tab.counts().clone());
            }
            let after = positions(redis, prefix, room).await;
            let active = readers(redis, prefix, room).await;
            let count =
                |seq: &i64| i64::try_from(after.values().filter(|position| *position < seq).count()).unwrap();
            let truth: BTreeMap<i64, i64> = seen[0].keys().map(|seq| (*seq, count(seq))).collect();
            let standing: BTreeSet<i64> = after.keys().copied().collect();
            let is_so = before == after && standing == away && active.keys().eq(reading.iter());
            if is_so && seen.iter().all(|seen| *seen == truth) {
                return;
            }
            *last.lock() =
                format!("{after:?}, reading {active:?}, away {away:?}: {truth:?}, and shown {seen:?}");
        }
    };
    // However it comes about: a lease may have to end first.
    let in_time = tokio::time::timeout(2 * PATIENCE, agreeing).await.is_ok();
    assert!(in_time, "room {room}: {}", last.lock());
}

/// What somebody sees who looks for the first time, without reading.
async fn look(addr: SocketAddr, person: &Person, room: i64) -> BTreeMap<i64, i64> {
    let mut witness = Client::connect(addr, &person.token).await;
    witness.listen(room, 200).await;
    witness.drain().await;
    let counts = witness.counts().clone();
    witness.disconnect().await;
    counts
}
