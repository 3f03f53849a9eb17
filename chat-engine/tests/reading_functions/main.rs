//! The Redis functions against the model: the same operations in the same order give the same changes and the same
//! positions, whatever the order.

#![allow(clippy::unwrap_used, reason = "a test ends where its assumptions do")]

mod kept;
mod nodes;
#[path = "../harness/questions.rs"]
mod questions;
#[path = "../harness/redis_server.rs"]
#[allow(dead_code, reason = "what other tests do with a server")]
mod redis_server;
mod sequences;
mod work;

use std::{collections::BTreeMap, slice};

use chat_engine::reading::{
    Change, Effect, Incarnation, Life, MemberPositions,
    state::{Buried, RoomState},
};
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, FunctionInterface as _, KeysInterface as _},
    types::{Builder, ClusterHash, CustomCommand, Value, config::Config},
};
use shared::{
    Seq, UserId,
    testing::{self, user},
};

const FUNCTIONS: &str = include_str!("../../src/reading/functions.lua");
const CHANNEL: &str = "feed";
const GENERATION: u64 = 3;
/// As large as they come: beyond the 14 digits that Lua writes of a number.
const BASE: i64 = 5 << 40;

/// One room in Redis.
struct Room {
    client: Client,
    tag: String,
}

impl Room {
    fn keys(&self) -> Vec<String> {
        ["positions", "active", "meta", "changes", "checkpoints"]
            .map(|key| format!("{{{}}}:{key}", self.tag))
            .into()
    }

    async fn call(&self, function: &str, own: &[String]) -> Value {
        self.call_of(GENERATION, function, own).await
    }

    async fn call_of(&self, generation: u64, function: &str, own: &[String]) -> Value {
        let mut arguments = vec![CHANNEL.to_owned(), generation.to_string()];
        arguments.extend_from_slice(own);
        self.client.fcall(function, self.keys(), arguments).await.unwrap()
    }

    async fn refusal(&self, generation: u64, function: &str, own: &[String]) -> String {
        self.call_of(generation, function, own).await.as_str().unwrap().to_string()
    }

    /// Removes what the test made.
    async fn forget(&self) {
        self.client.del::<(), _>(self.keys()).await.unwrap();
    }

    async fn change(&self, function: &str, own: &[String]) -> Result<Option<Change>, Buried> {
        self.change_of(GENERATION, function, own).await
    }

    async fn change_of(
        &self,
        generation: u64,
        function: &str,
        own: &[String],
    ) -> Result<Option<Change>, Buried> {
        match self.call_of(generation, function, own).await.as_str().as_deref() {
            None => Ok(None),
            Some("LOST") => Err(Buried),
            Some(line) => Ok(Some(parse(line))),
        }
    }

    /// The life and the version, and where everybody stands.
    async fn snapshot(&self) -> (Life, u64, BTreeMap<UserId, Seq>) {
        self.snapshot_of(GENERATION).await
    }

    async fn snapshot_of(&self, generation: u64) -> (Life, u64, BTreeMap<UserId, Seq>) {
        let Value::Array(answer) = self.call_of(generation, "moyiza_snapshot", &[]).await else {
            panic!("the room is warm")
        };
        let words: Vec<String> = answer.iter().map(|value| value.as_str().unwrap().to_string()).collect();
        let positions = words[2..].chunks(2).map(|pair| (pair[0].parse().unwrap(), pair[1].parse().unwrap()));
        (Life(words[0].parse().unwrap()), words[1].parse().unwrap(), positions.collect())
    }

    /// The same of some.
    async fn positions(&self, users: &[UserId]) -> MemberPositions {
        self.positions_of(GENERATION, users).await
    }

    async fn positions_of(&self, generation: u64, users: &[UserId]) -> MemberPositions {
        let Value::Array(answer) = self.call_of(generation, "moyiza_positions", &words(users)).await else {
            panic!("the room is warm")
        };
        let words: Vec<String> = answer.iter().map(|value| value.as_str().unwrap().to_string()).collect();
        assert_eq!(words.len(), 2 + users.len());
        let position =
            |(user, word): (&UserId, &String)| (*user, (word != "-").then(|| word.parse().unwrap()));
        let (life, version) = (Life(words[0].parse().unwrap()), words[1].parse().unwrap());
        MemberPositions { life, version, positions: users.iter().zip(&words[2..]).map(position).collect() }
    }

    /// Every change after `version`, if they are known.
    async fn changes_of(&self, generation: u64, life: Life, version: u64) -> Option<Vec<Change>> {
        let own = [life.0.to_string(), version.to_string()];
        match self.call_of(generation, "moyiza_changes", &own).await {
            Value::Array(lines) => Some(lines.iter().map(|line| parse(&line.as_str().unwrap())).collect()),
            _ => None,
        }
    }

    /// Loads the room, which is cold.
    async fn load(&self, life: Life, told: Seq, positions: &[(UserId, Seq)]) {
        self.load_of(GENERATION, life, told, positions).await;
    }

    async fn load_of(&self, generation: u64, life: Life, told: Seq, positions: &[(UserId, Seq)]) {
        let token = life.0.to_string();
        let answer = self.call_of(generation, "moyiza_begin_load", slice::from_ref(&token)).await;
        assert_eq!(answer.as_str().unwrap(), &*token);
        let mut arguments = vec![token, told.to_string(), "0".to_owned()];
        arguments.extend(positions.iter().flat_map(|(user, seq)| [user.to_string(), seq.to_string()]));
        let answer = self.call_of(generation, "moyiza_load", &arguments).await;
        assert_eq!(answer.as_str().unwrap(), "LOADED");
    }
}

async fn connect() -> Client {
    let url = testing::server("MOYIZA_TEST_REDIS_URL");
    let client = Builder::from_config(Config::from_url(&url).unwrap()).build().unwrap();
    client.init().await.unwrap();
    client.function_load::<(), _>(true, FUNCTIONS).await.unwrap();
    client
}

fn parse(line: &str) -> Change {
    let words: Vec<_> = line.split(' ').collect();
    let to = (words[3] != "-").then(|| words[3].parse().unwrap());
    Change {
        life: Life(words[0].parse().unwrap()),
        version: words[1].parse().unwrap(),
        user: words[2].parse().unwrap(),
        to,
    }
}

fn words(users: &[UserId]) -> Vec<String> {
    users.iter().map(ToString::to_string).collect()
}

fn seq(offset: i64) -> Seq {
    Seq::from_raw(BASE + offset).unwrap()
}

#[tokio::test]
async fn attempts_of_nodes_that_are_gone_are_forgotten_and_never_the_last_ones() {
    let room = Room { client: connect().await, tag: testing::unique("attempts") };
    room.load(Life(1), Seq::ZERO, &[(user(1), seq(1))]).await;
    let enter = |node: u64| [node.to_string(), (1_000 + node).to_string(), "1".to_owned(), "1".to_owned()];
    for node in 0..500 {
        room.change("moyiza_enter", &enter(node)).await.unwrap();
    }
    let meta: Vec<String> = hash_keys(&room.client, &room.keys()[2]).await;
    let kept: Vec<_> = meta.iter().filter_map(|field| field.strip_prefix("attempt:")).collect();
    assert!((32..=64).contains(&kept.len()), "{} are kept", kept.len());
    assert!(kept.contains(&"499") && !kept.contains(&"0"));
    let mut before = enter(499);
    before[1] = "1".to_owned();
    assert_eq!(room.refusal(GENERATION, "moyiza_enter", &before).await, "LATE");
    room.forget().await;
}

#[tokio::test]
async fn who_left_and_joined_again_goes_on_reading_and_is_forgotten_when_they_do_not() {
    let room = Room { client: connect().await, tag: testing::unique("again") };
    room.load(Life(1), seq(5), &[(user(1), seq(1)), (user(2), seq(2))]).await;
    let mut model = RoomState::load(Life(1), [(user(1), seq(1)), (user(2), seq(2))], seq(5));
    let tell = async |model: &mut RoomState, at: i64, who: i64, effect: Effect, name: &str| {
        model.tell(seq(at), user(who), effect);
        room.call("moyiza_tell", &[text_of(at), who.to_string(), name.to_owned()]).await;
    };
    let standing = async |model: &RoomState| {
        let (_, version, positions) = room.snapshot().await;
        let snapshot = model.snapshot();
        assert_eq!((version, &positions), (snapshot.version, &snapshot.positions.into_iter().collect()));
        positions
    };
    // They subscribe again before anybody was told of any of it.
    model.enter(user(1), Incarnation(4)).unwrap();
    room.change("moyiza_enter", &["4".into(), "1".into(), "1".into(), "1".into()]).await.unwrap();
    tell(&mut model, 6, 1, Effect::Left, "left").await;
    tell(&mut model, 7, 1, Effect::Joined, "joined").await;
    assert_eq!(standing(&model).await, [(user(2), seq(2))].into(), "they are reading");
    model.leave(user(1), Incarnation(4), seq(9));
    room.change("moyiza_leave", &["4".into(), "2".into(), "1".into(), text_of(9)]).await.unwrap();
    assert_eq!(standing(&model).await[&user(1)], seq(9));
    // Who only left stands nowhere when their last tab is gone.
    model.enter(user(2), Incarnation(4)).unwrap();
    room.change("moyiza_enter", &["4".into(), "3".into(), "2".into(), "1".into()]).await.unwrap();
    tell(&mut model, 10, 2, Effect::Left, "left").await;
    model.leave(user(2), Incarnation(4), seq(9));
    room.change("moyiza_leave", &["4".into(), "4".into(), "2".into(), text_of(9)]).await.unwrap();
    assert_eq!(standing(&model).await, [(user(1), seq(9))].into());
    assert_eq!(hash_keys(&room.client, &room.keys()[1]).await, [""; 0], "nobody is kept");
    room.forget().await;
}

#[tokio::test]
async fn what_a_sender_said_counts_however_far_the_room_was_loaded() {
    let room = Room { client: connect().await, tag: testing::unique("sent") };
    // The rows of 6 were there, and not yet the position of who sent it.
    room.load(Life(1), seq(6), &[(user(1), seq(1)), (user(2), seq(2))]).await;
    room.call("moyiza_tell", &[text_of(6), "1".into(), "sent".into()]).await;
    // Of joinings and leavings the positions had been.
    room.call("moyiza_tell", &[text_of(6), "2".into(), "left".into()]).await;
    assert_eq!(room.snapshot().await.2, [(user(1), seq(6)), (user(2), seq(2))].into());
    room.forget().await;
}

async fn hash_keys(client: &Client, key: &str) -> Vec<String> {
    let command = CustomCommand::new_static("HKEYS", ClusterHash::FirstKey, false);
    client.custom(command, vec![key.to_owned()]).await.unwrap()
}

#[tokio::test]
async fn as_many_are_asked_about_as_a_room_has() {
    let room = Room { client: connect().await, tag: testing::unique("many") };
    assert_eq!(room.refusal(GENERATION, "moyiza_positions", &["1".into()]).await, "COLD");
    let stored: Vec<_> = (1..=5_000).filter(|id| id % 3 > 0).map(|id| (user(id), seq(id))).collect();
    room.load(Life(7), seq(0), &stored).await;
    let everybody: Vec<_> = (1..=5_000).map(user).collect();
    let model = RoomState::load(Life(7), stored, seq(0));
    assert_eq!(room.positions(&everybody).await, model.positions(&everybody));
    room.forget().await;
}

#[tokio::test]
async fn a_load_that_something_came_between_is_refused() {
    let room = Room { client: connect().await, tag: testing::unique("load") };
    let load = || [String::from("7"), "0".into(), "0".into(), "1".into(), "0".into()];
    room.call("moyiza_begin_load", &["7".into()]).await;
    // Two that load at the same time do not keep each other from it.
    assert_eq!(room.refusal(GENERATION, "moyiza_begin_load", &["8".into()]).await, "7");
    room.call("moyiza_tell", &["9".into(), "1".into(), "left".into()]).await;
    assert_eq!(room.refusal(GENERATION, "moyiza_load", &load()).await, "AGAIN");
    room.call("moyiza_begin_load", &["7".into()]).await;
    assert_eq!(room.refusal(GENERATION, "moyiza_load", &load()).await, "LOADED");
    assert_eq!(room.refusal(GENERATION, "moyiza_load", &load()).await, "WARM");
    room.forget().await;
}

#[tokio::test]
async fn what_an_earlier_redis_kept_is_loaded_again_and_who_knows_only_that_one_is_refused() {
    let room = Room { client: connect().await, tag: testing::unique("generation") };
    room.load(Life(1), Seq::ZERO, &[(user(1), seq(1))]).await;
    room.change("moyiza_enter", &["4".into(), "1".into(), "1".into(), "1".into()]).await.unwrap();
    // Redis was restarted, and one node knows that.
    let enter = vec!["4".into(), "2".into(), "1".into(), "1".into()];
    for (function, own) in [("moyiza_snapshot", vec![]), ("moyiza_enter", enter)] {
        assert_eq!(room.refusal(GENERATION + 1, function, &own).await, "COLD", "{function}");
    }
    let token = "2".to_string();
    assert_eq!(room.refusal(GENERATION + 1, "moyiza_begin_load", slice::from_ref(&token)).await, "2");
    let load = [token, "0".into(), "0".into(), "1".into(), text_of(3)];
    assert_eq!(room.refusal(GENERATION + 1, "moyiza_load", &load).await, "LOADED");
    let stale = format!("STALE {}", GENERATION + 1);
    assert_eq!(room.refusal(GENERATION, "moyiza_snapshot", &[]).await, stale);
    let Value::Array(snapshot) = room.call_of(GENERATION + 1, "moyiza_snapshot", &[]).await else {
        panic!("the room is warm")
    };
    let snapshot: Vec<_> = snapshot.iter().map(|value| value.as_str().unwrap().to_string()).collect();
    // Another life, in which nobody reads until they say so.
    assert_eq!(snapshot, ["2", "1", "1", &text_of(3)]);
    room.forget().await;
}

#[tokio::test]
async fn nobody_reads_in_a_life_of_the_room_in_which_their_node_has_not_listed_it() {
    let room = Room { client: connect().await, tag: testing::unique("unlisted") };
    room.load(Life(8), Seq::ZERO, &[(user(1), seq(1))]).await;
    let enter = |life: u64| ["4".to_owned(), "1".into(), "1".into(), life.to_string()];
    assert_eq!(room.refusal(GENERATION, "moyiza_enter", &enter(7)).await, "UNLISTED 8");
    assert_eq!(room.snapshot().await.2, [(user(1), seq(1))].into());
    assert!(room.change("moyiza_enter", &enter(8)).await.unwrap().is_some());
    room.forget().await;
}

fn text_of(offset: i64) -> String {
    seq(offset).to_string()
}
