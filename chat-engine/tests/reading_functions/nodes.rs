//! Random sequences of what is done to the lists of nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, FunctionInterface as _, KeysInterface as _},
    types::{ClusterHash, CustomCommand, Value},
};
use shared::testing;

use crate::connect;

const SEQUENCES: u64 = 40;
const OPERATIONS: usize = 60;
/// A node that goes on, so that Redis is not silent.
const WITNESS: u64 = 9;

/// A node that begins.
async fn begin(client: &Client, keys: &[String], node: u64) {
    let own = [node.to_string(), "60000".into(), "1".into()].to_vec();
    client.fcall::<Value, _, _, _>("moyiza_renew", keys[..2].to_vec(), own).await.unwrap();
}

/// As if a node had said nothing for long, if it holds a lease.
async fn end_lease(client: &Client, keys: &[String], node: u64) {
    last_heard(client, keys, node, 1).await;
}

async fn last_heard(client: &Client, keys: &[String], node: u64, at_ms: u128) {
    let command = CustomCommand::new_static("ZADD", ClusterHash::FirstKey, false);
    let own = [&keys[0], "XX", &at_ms.to_string(), &node.to_string()].map(str::to_owned).to_vec();
    client.custom::<(), _>(command, own).await.unwrap();
}

#[tokio::test]
async fn of_nodes_redis_knows_what_sets_of_them_do() {
    let client = connect().await;
    let tag = testing::unique("leases");
    for seed in 0..SEQUENCES {
        let mut dice = fastrand::Rng::with_seed(seed);
        let (mut living, mut dying) = (BTreeSet::new(), BTreeSet::new());
        let mut listed: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
        let keys_of = |node: u64| -> Vec<String> {
            ["living", "dying", &format!("rooms:{node}")].map(|key| format!("{{{tag}.{seed}}}:{key}")).into()
        };
        begin(&client, &keys_of(WITNESS), WITNESS).await;
        for step in 0..OPERATIONS {
            let at = format!("seed {seed}, step {step}");
            let node = dice.u64(1..=4);
            let call = async |function: &str, count: usize, own: &[&str]| -> Value {
                let own: Vec<_> =
                    [node.to_string()].into_iter().chain(own.iter().map(ToString::to_string)).collect();
                client.fcall(function, keys_of(node)[..count].to_vec(), own).await.unwrap()
            };
            match dice.u8(0..10) {
                0..=2 => {
                    let begins = dice.u8(0..3) == 0;
                    if begins {
                        living.insert(node);
                    }
                    let answer = call("moyiza_renew", 2, &["60000", if begins { "1" } else { "0" }]).await;
                    let (held, lost): (i64, Vec<u64>) = answer.convert().unwrap();
                    assert_eq!(held == 1, living.contains(&node), "{at}");
                    assert_eq!(lost.into_iter().collect::<BTreeSet<_>>(), dying, "{at}");
                }
                3..=4 => {
                    // A lease that is over, or lasts.
                    if dice.bool() {
                        end_lease(&client, &keys_of(node), node).await;
                        if living.remove(&node) {
                            dying.insert(node);
                        }
                    }
                    let answer = call("moyiza_condemn", 3, &["60000"]).await;
                    // An empty list is not nothing.
                    let is_list = matches!(answer, Value::Array(_));
                    let rooms = is_list.then(|| answer.convert::<Vec<String>>().unwrap());
                    let rooms = rooms.map(|rooms| rooms.into_iter().collect::<BTreeSet<_>>());
                    let expected =
                        || listed.get(&node).into_iter().flatten().map(|(room, _)| room.clone()).collect();
                    let condemned = (dying.contains(&node) && !living.contains(&node)).then(expected);
                    assert_eq!(rooms, condemned, "{at}");
                }
                5..=6 => {
                    let (room, attempt) = (dice.u8(1..4).to_string(), dice.u64(1..20));
                    let answer = call("moyiza_register", 3, &[&attempt.to_string(), &room]).await;
                    assert_eq!(answer.as_i64() == Some(1), living.contains(&node), "{at}");
                    if living.contains(&node) {
                        let last = listed.entry(node).or_default().entry(room).or_default();
                        *last = attempt.max(*last);
                    }
                }
                7 => {
                    // One that was listed since stays.
                    let (room, attempt) = (dice.u8(1..4).to_string(), dice.u64(1..20));
                    call("moyiza_unregister", 3, &[&attempt.to_string(), &room]).await;
                    if let Some(rooms) = listed.get_mut(&node) {
                        rooms.retain(|other, last| *other != room || *last >= attempt);
                    }
                }
                8 => {
                    call("moyiza_strike", 3, &[]).await;
                    living.remove(&node);
                    dying.remove(&node);
                    listed.remove(&node);
                }
                _ => {}
            }
        }
        for node in (1..=4).chain([WITNESS]) {
            client.del::<(), _>(keys_of(node)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_node_that_was_condemned_has_no_lease_and_lists_no_room() {
    let client = connect().await;
    let tag = testing::unique("nodes");
    let keys: Vec<_> = ["living", "dying", "rooms"].map(|key| format!("{{{tag}}}:{key}")).into();
    let call = async |function: &str, count: usize, own: &[&str]| -> Value {
        let own: Vec<_> = own.iter().map(ToString::to_string).collect();
        client.fcall(function, keys[..count].to_vec(), own).await.unwrap()
    };
    let renew = async |begins: &str| call("moyiza_renew", 2, &["1", "60000", begins]).await;
    let held = |answer: Value| answer.into_array()[0].as_i64().unwrap();
    let list = async |attempt: &str, room: &str| {
        call("moyiza_register", 3, &["1", attempt, room]).await.as_i64().unwrap()
    };
    let condemn = async || -> Option<Vec<String>> {
        call("moyiza_condemn", 3, &["1", "60000"]).await.convert().unwrap()
    };
    begin(&client, &keys, WITNESS).await;
    assert_eq!(held(renew("0").await), 0, "never had one");
    assert_eq!(held(renew("1").await), 1);
    assert_eq!(held(renew("0").await), 1);
    assert_eq!(list("1", "41").await, 1);
    assert_eq!(list("2", "42").await, 1);
    call("moyiza_unregister", 3, &["1", "3", "41"]).await;
    // Nobody is there any more, which is said late: somebody came since.
    assert_eq!(list("5", "42").await, 1);
    call("moyiza_unregister", 3, &["1", "4", "42"]).await;
    assert_eq!(condemn().await, None, "it lives");
    end_lease(&client, &keys, 1).await;
    assert_eq!(condemn().await, Some(vec!["42".to_owned()]));
    assert_eq!(condemn().await, Some(vec!["42".to_owned()]), "until it is struck");
    assert_eq!(held(renew("0").await), 0);
    assert_eq!(list("6", "43").await, 0);
    call("moyiza_strike", 3, &["1"]).await;
    assert_eq!(condemn().await, None);
    call("moyiza_strike", 3, &["9"]).await;
    assert_eq!(client.exists::<i64, _>(keys).await.unwrap(), 0);
}

#[tokio::test]
async fn of_nodes_that_redis_was_silent_for_none_is_dead_for_coming_later_than_others() {
    let client = connect().await;
    let tag = testing::unique("silence");
    let keys = |node: u64| -> Vec<String> {
        ["living", "dying", &format!("rooms:{node}")].map(|key| format!("{{{tag}}}:{key}")).into()
    };
    let renew = async |node: u64, begins: u8| -> (i64, Vec<u64>) {
        let own = [node.to_string(), "60000".into(), begins.to_string()].to_vec();
        client.fcall("moyiza_renew", keys(node)[..2].to_vec(), own).await.unwrap()
    };
    let condemn = async |node: u64| -> Value {
        client.fcall("moyiza_condemn", keys(node), vec![node.to_string(), "60000".into()]).await.unwrap()
    };
    let (none, silent) = (Vec::new, async || {
        for node in 1..=4 {
            end_lease(&client, &keys(node), node).await;
        }
    });
    for node in 1..=4 {
        assert_eq!(renew(node, 1).await, (1, none()));
    }
    // One of them was dead before, and is being buried.
    end_lease(&client, &keys(4), 4).await;
    assert!(matches!(condemn(4).await, Value::Array(_)));
    silent().await;
    // Who was to be condemned before the silence is not in it: nobody knows whether it came back.
    assert_eq!(condemn(2).await, Value::Null);
    assert_eq!(renew(1, 0).await, (1, vec![4]));
    for node in 2..=3 {
        assert_eq!(condemn(node).await, Value::Null, "it has as long as who came first");
        assert_eq!(renew(node, 0).await, (1, vec![4]));
    }
    // The first may be one that begins.
    silent().await;
    assert_eq!(renew(5, 1).await, (1, vec![4]));
    assert_eq!(renew(2, 0).await, (1, vec![4]));
    // Nor does it depend on how much was left of their leases.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    for node in [1, 2, 3, 5] {
        last_heard(&client, &keys(node), node, now - 45_000).await;
    }
    assert_eq!(renew(5, 0).await, (1, vec![4]));
    let command = CustomCommand::new_static("ZMSCORE", ClusterHash::FirstKey, false);
    let asked = [&keys(1)[0], "1", "2", "3", "5"].map(str::to_owned).to_vec();
    let times: BTreeSet<String> = client.custom(command, asked).await.unwrap();
    assert_eq!(times.len(), 1, "{times:?}");
    // Who does not come back is dead in the end.
    end_lease(&client, &keys(3), 3).await;
    let (held, lost) = renew(2, 0).await;
    assert_eq!((held, lost.into_iter().collect()), (1, BTreeSet::from([3, 4])));
    assert!(matches!(condemn(3).await, Value::Array(_)));
    for node in 1..=5 {
        client.del::<(), _>(keys(node)).await.unwrap();
    }
}
