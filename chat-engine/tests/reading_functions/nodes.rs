//! Random sequences of what is done to the lists of nodes.

use std::collections::{BTreeMap, BTreeSet};

use fred::{
    interfaces::{FunctionInterface as _, KeysInterface as _},
    types::Value,
};
use shared::testing;

use crate::connect;

const SEQUENCES: u64 = 40;
const OPERATIONS: usize = 60;

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
                    // A lease that ended before it began, or lasts.
                    let is_over = dice.bool();
                    if is_over && living.remove(&node) {
                        dying.insert(node);
                    }
                    let answer = call("moyiza_condemn", 3, &[if is_over { "-1" } else { "60000" }]).await;
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
        for node in 1..=4 {
            client.del::<(), _>(keys_of(node)).await.unwrap();
        }
    }
}
