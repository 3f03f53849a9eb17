//! What a message costs in Redis: nothing on its way to anybody.

use std::{collections::BTreeMap, time::Instant};

use super::ground::{Ground, with_ground};
use crate::{
    client::Client,
    history,
    world::{Person, metric},
};

const MEMBERS: i64 = 1_000;
/// Those of them who are on a socket.
const READERS: usize = 20;
const MESSAGES: usize = 600;

/// Members who never look.
async fn add_members(ground: &Ground<'_>, room: i64, count: i64) {
    sqlx::query(
        "with new as ( \
            insert into users (email, email_verified_at, nickname) \
            select name || '@example.com', now(), name from ( \
                select 'm' || $1::bigint || '_' || n as name from generate_series(1, $2::bigint) as n \
            ) as names returning id \
         ), members as ( \
            insert into memberships (meetup_id, user_id, state) select $1, id, 'member' from new \
         ) insert into read_positions (room_id, user_id, seq) select $1, id, 0 from new",
    )
    .bind(room)
    .bind(count)
    .execute(&ground.world.pool)
    .await
    .unwrap();
}

/// A room of a thousand, in which these read.
async fn crowded(ground: &Ground<'_>) -> (i64, Vec<Person>, Vec<Client>) {
    let mut people = Vec::new();
    for _ in 0..READERS {
        people.push(ground.world.person().await);
    }
    let room = ground.world.room(&people.iter().collect::<Vec<_>>()).await;
    add_members(ground, room, MEMBERS - i64::try_from(READERS).unwrap()).await;
    let mut tabs = Vec::new();
    for (n, person) in people.iter().enumerate() {
        tabs.push(ground.follow(n % 2, person, room).await);
    }
    for person in &people {
        ground.reads(room, person, true).await;
    }
    (room, people, tabs)
}

/// How often each command was called, by clients and by functions.
async fn calls(ground: &Ground<'_>) -> BTreeMap<String, u64> {
    let stats = ground.redis.ask("INFO commandstats").await;
    let call = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().unwrap()))
    };
    stats.lines().filter_map(call).collect()
}

async fn batches(ground: &Ground<'_>) -> u64 {
    metric(ground.addr(0), "moyiza_history_batches_total").await
        + metric(ground.addr(1), "moyiza_history_batches_total").await
}

#[tokio::test]
async fn a_message_of_a_cluster_in_a_room_of_a_thousand_costs_no_call_of_redis_on_its_way() {
    // Nothing else is to be asked meanwhile.
    with_ground(&["--reading-check-ms", "600000"], async |ground| {
        let (room, people, mut tabs) = crowded(ground).await;
        let unread = MEMBERS - i64::try_from(READERS).unwrap();
        let first = tabs[0].post(room, "처음").await;
        for tab in &mut tabs {
            tab.expect_count(first, unread).await;
        }
        let sender = format!("HGET {} told", ground.key(room, "meta"));
        ground.redis.ask_until(&sender, &first.to_string()).await;

        ground.redis.ask("CONFIG RESETSTAT").await;
        let (before, began) = (batches(ground).await, Instant::now());
        let said = history::post(&ground.nodes[0], room, &people[0], MESSAGES).await;
        let last = *said.last().unwrap();
        for tab in &mut tabs {
            tab.expect_count(last, unread).await;
            let shown = tab.counts().range(first + 1..=last);
            assert_eq!(shown.clone().count(), MESSAGES);
            assert!(shown.into_iter().all(|(_, count)| *count == unread));
        }
        // History has told Redis of all of them.
        ground.redis.ask_until(&sender, &last.to_string()).await;
        let calls = calls(ground).await;
        let batches = batches(ground).await - before;
        // Each node says once a second that it lives, and may say how far its readers are.
        let leases = 2 * 2 * (began.elapsed().as_secs() + 2);
        let made = calls["fcall"];
        assert!(batches + leases < MESSAGES as u64 / 2, "messages are told together: {batches} batches");
        assert!(
            made <= batches + leases,
            "{made} calls for {batches} batches and {leases} leases: {calls:?}"
        );
        // Nor does anybody ask in another way.
        let by_functions = [
            "fcall",
            "hget",
            "hset",
            "hmget",
            "zscore",
            "zadd",
            "zrange",
            "zrangebyscore",
            "smembers",
            "time",
        ];
        let by_this_test =
            ["info", "quit", "config|resetstat", "ping", "client|id", "client|tracking", "subscribe"];
        let others: Vec<_> = calls
            .keys()
            .filter(|name| !by_functions.contains(&&***name) && !by_this_test.contains(&&***name))
            .collect();
        assert!(others.is_empty(), "{others:?} in {calls:?}");
    })
    .await;
}

#[tokio::test]
async fn messages_of_a_cluster_whose_redis_is_stopped_come_with_their_counts() {
    with_ground(&[], async |ground| {
        let (room, people, mut tabs) = crowded(ground).await;
        let unread = MEMBERS - i64::try_from(READERS).unwrap();
        let seq = tabs[0].post(room, "전").await;
        for tab in &mut tabs {
            tab.expect_count(seq, unread).await;
        }
        ground.redis.freeze().await;
        let mut speaker = Client::connect(ground.addr(1), &people[1].token).await;
        for n in 0..20 {
            let seq = speaker.post(room, &n.to_string()).await;
            for tab in &mut tabs {
                tab.expect_count(seq, unread).await;
            }
        }
        ground.redis.thaw().await;
    })
    .await;
}
