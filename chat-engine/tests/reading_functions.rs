//! The Redis functions against the model: the same operations in the same order give the same changes and the same
//! positions, whatever the order.

#![allow(clippy::unwrap_used, reason = "a test ends where its assumptions do")]

use std::collections::BTreeMap;

use chat_engine::reading::{Change, Effect, Incarnation, state::RoomState};
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, FunctionInterface as _, KeysInterface as _},
    types::{Builder, Value, config::Config},
};
use shared::{Seq, UserId, testing};

const FUNCTIONS: &str = include_str!("../src/reading/functions.lua");
const SEQUENCES: u64 = 60;
const OPERATIONS: usize = 60;
const CHANNEL: &str = "feed";
/// As large as they come: beyond the 14 digits that Lua writes of a number.
const BASE: i64 = 5 << 40;

/// One room in Redis.
struct Room {
    client: Client,
    tag: String,
}

impl Room {
    fn keys(&self) -> Vec<String> {
        ["positions", "active", "meta", "changes"].map(|key| format!("{{{}}}:{key}", self.tag)).into()
    }

    async fn call(&self, function: &str, arguments: &[String]) -> Value {
        self.client.fcall(function, self.keys(), arguments.to_vec()).await.unwrap()
    }

    /// Removes what the test made.
    async fn forget(&self) {
        self.client.del::<(), _>(self.keys()).await.unwrap();
    }

    async fn change(&self, function: &str, arguments: &[String]) -> Option<Change> {
        let mut all = vec![CHANNEL.to_owned()];
        all.extend_from_slice(arguments);
        self.call(function, &all).await.as_str().map(|line| parse(&line))
    }

    /// The version, and where everybody stands.
    async fn snapshot(&self) -> (u64, BTreeMap<UserId, Seq>) {
        let Value::Array(answer) = self.call("moyiza_snapshot", &[]).await else {
            panic!("the room is warm")
        };
        let words: Vec<String> = answer.iter().map(|value| value.as_str().unwrap().to_string()).collect();
        let (version, pairs) = words.split_first().unwrap();
        let positions = pairs.chunks(2).map(|pair| (pair[0].parse().unwrap(), pair[1].parse().unwrap()));
        (version.parse().unwrap(), positions.collect())
    }
}

fn parse(line: &str) -> Change {
    let words: Vec<_> = line.split(' ').collect();
    let to = (words[2] != "-").then(|| words[2].parse().unwrap());
    Change { version: words[0].parse().unwrap(), user: words[1].parse().unwrap(), to }
}

fn user(id: i64) -> UserId {
    id.try_into().unwrap()
}

fn seq(offset: i64) -> Seq {
    Seq::from_raw(BASE + offset).unwrap()
}

#[tokio::test]
async fn the_functions_do_what_the_model_does() {
    let url = testing::server("MOYIZA_TEST_REDIS_URL");
    let client = Builder::from_config(Config::from_url(&url).unwrap()).build().unwrap();
    client.init().await.unwrap();
    client.function_load::<(), _>(true, FUNCTIONS).await.unwrap();
    let tag = testing::unique("functions");
    for seed in 0..SEQUENCES {
        let room = Room { client: client.clone(), tag: format!("{tag}.{seed}") };
        compare(&room, seed).await;
        room.forget().await;
    }
}

/// Runs one random sequence on both.
async fn compare(room: &Room, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let text = |seq: Seq| seq.to_string();
    // Members 1 to 3 are stored; 4 and 5 come later.
    let stored: Vec<_> = (1..=3).map(|id| (user(id), seq(dice.i64(0..5)))).collect();
    let told = seq(5);
    assert_eq!(
        room.call("moyiza_enter", &[CHANNEL.into(), "1".into(), "1".into()]).await.as_str().unwrap(),
        "COLD"
    );
    assert_eq!(room.call("moyiza_begin_load", &["mine".into()]).await.as_str().unwrap(), "LOAD");
    let mut arguments = vec!["mine".to_owned(), "1".into(), text(told)];
    arguments.extend(stored.iter().flat_map(|(user, seq)| [user.to_string(), text(*seq)]));
    assert_eq!(room.call("moyiza_load", &arguments).await.as_str().unwrap(), "LOADED");
    let mut model = RoomState::load(stored, told);

    let mut head = 5;
    for step in 0..OPERATIONS {
        let (who, node, at) = (user(dice.i64(1..=5)), dice.u64(1..=2), seq(dice.i64(0..=head)));
        let words = [who.to_string(), node.to_string(), text(at)];
        match dice.u8(0..10) {
            0..=2 => {
                let expected = model.enter(who, Incarnation(node));
                assert_eq!(
                    room.change("moyiza_enter", &words[..2]).await,
                    expected,
                    "seed {seed}, step {step}"
                );
            }
            3..=5 => {
                let expected = model.leave(who, Incarnation(node), at);
                assert_eq!(room.change("moyiza_leave", &words).await, expected, "seed {seed}, step {step}");
            }
            6 => {
                for who in (1..=5).map(user) {
                    model.leave(who, Incarnation(node), Seq::ZERO);
                }
                room.call("moyiza_bury", &[CHANNEL.into(), node.to_string()]).await;
            }
            other => {
                let (effect, name) =
                    [(Effect::Sent, "sent"), (Effect::Joined, "joined"), (Effect::Left, "left")]
                        [usize::from(other - 7)];
                head += 1;
                // Told twice, as after a crash.
                for _ in 0..2 {
                    model.tell(seq(head), who, effect);
                    let record = [CHANNEL.into(), text(seq(head)), who.to_string(), name.to_owned()];
                    room.call("moyiza_tell", &record).await;
                }
            }
        }
        let snapshot = model.snapshot();
        let expected = (snapshot.version, snapshot.positions.into_iter().collect());
        assert_eq!(room.snapshot().await, expected, "seed {seed}, step {step}");
    }
}

#[tokio::test]
async fn a_load_that_something_came_between_is_refused() {
    let url = testing::server("MOYIZA_TEST_REDIS_URL");
    let client = Builder::from_config(Config::from_url(&url).unwrap()).build().unwrap();
    client.init().await.unwrap();
    client.function_load::<(), _>(true, FUNCTIONS).await.unwrap();
    let room = Room { client, tag: testing::unique("load") };
    let load = || [String::from("t"), "1".into(), "0".into(), "1".into(), "0".into()];
    room.call("moyiza_begin_load", &["t".into()]).await;
    room.call("moyiza_tell", &[CHANNEL.into(), "9".into(), "1".into(), "left".into()]).await;
    assert_eq!(room.call("moyiza_load", &load()).await.as_str().unwrap(), "AGAIN");
    room.call("moyiza_begin_load", &["t".into()]).await;
    assert_eq!(room.call("moyiza_load", &load()).await.as_str().unwrap(), "LOADED");
    assert_eq!(room.call("moyiza_load", &load()).await.as_str().unwrap(), "WARM");
    room.forget().await;
}
