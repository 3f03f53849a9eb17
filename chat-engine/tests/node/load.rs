//! Many people talking at once: nothing lost, nothing twice, one order for everybody.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stomp::Command;

use crate::{client::Client, world::World};

const ROOMS: usize = 5;
const PEOPLE: usize = 50;
const MESSAGES: usize = 1_000;

async fn a_thousand_messages_reach_every_member_once_and_in_order(world: &World) {
    let (people, rooms) = world.crowd(PEOPLE, ROOMS).await;
    let mut clients = Vec::new();
    for (n, person) in people.iter().enumerate() {
        clients.push(world.connect_to(person, rooms[n % ROOMS]).await);
    }
    let talk = |(n, client)| tokio::spawn(talk(client, n, rooms[n % ROOMS]));
    let tasks: Vec<_> = clients.into_iter().enumerate().map(talk).collect();
    let mut seen_in: BTreeMap<i64, BTreeSet<Vec<(i64, String)>>> = BTreeMap::new();
    for (n, task) in tasks.into_iter().enumerate() {
        seen_in.entry(rooms[n % ROOMS]).or_default().insert(task.await.unwrap());
    }
    for (room, views) in seen_in {
        assert_eq!(views.len(), 1, "everybody in room {room} saw the same, in the same order");
        assert_eq!(views.into_iter().next(), Some(world.rows(room, MESSAGES / ROOMS).await));
    }
}

/// Sends its share and collects what the whole room says: (seq, content) as they came.
async fn talk(mut client: Client, person: usize, room: i64) -> Vec<(i64, String)> {
    let share = MESSAGES / PEOPLE;
    for n in 0..share {
        client.post_only(room, &format!("{person}/{n}"), &n.to_string()).await;
    }
    let (mut seen, mut receipts) = (Vec::new(), BTreeSet::new());
    while seen.len() < MESSAGES / ROOMS || receipts.len() < share {
        let frame = client.next().await.expect("the server goes on");
        match (frame.command, frame.headers.first("seq")) {
            (Command::Message, Some(seq)) => seen.push((seq.parse().unwrap(), content(&frame.body))),
            (Command::Receipt, _) => {
                receipts.insert(frame.headers.first("receipt-id").unwrap().to_string());
            }
            (Command::Message, None) => {}
            _ => panic!("{frame:?}"),
        }
    }
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0), "in seq order, none twice");
    client.disconnect().await;
    seen
}

/// What a message says.
pub(crate) fn content(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["content"].as_str().unwrap().to_owned()
}

crate::world::on_both_backends!(a_thousand_messages_reach_every_member_once_and_in_order);
