//! What the functions cost in a room of thousands, by Redis' own account.

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, FunctionInterface as _},
    types::{Builder, ClusterHash, CustomCommand, InfoKind, Value, config::Config},
};
use shared::Seq;

use crate::{CHANNEL, FUNCTIONS, GENERATION, Life, Room, hash_keys, redis_server::RedisServer, seq, user};

const MANY: i64 = 5_000;
const FEW: i64 = 500;
const CHUNK: usize = 500;

/// A server that nobody else uses, so that what it counts is what is done here.
async fn alone() -> (RedisServer, Client) {
    let server = RedisServer::start().await;
    let client = Builder::from_config(Config::from_url(&server.url()).unwrap()).build().unwrap();
    client.init().await.unwrap();
    client.function_load::<(), _>(true, FUNCTIONS).await.unwrap();
    (server, client)
}

/// A room in which so many read on one node, all of whom came since its last checkpoint.
async fn crowded(client: &Client, tag: &str, readers: i64) -> Room {
    let room = Room { client: client.clone(), tag: tag.to_owned() };
    let stored: Vec<_> = (1..=readers).map(|id| (user(id), seq(id))).collect();
    room.load(Life(1), Seq::ZERO, &stored).await;
    let everybody: Vec<_> = (1..=readers).collect();
    for some in everybody.chunks(CHUNK) {
        let pipeline = client.pipeline();
        for id in some {
            let mut arguments = vec![CHANNEL.to_owned(), GENERATION.to_string()];
            arguments.extend(["4".to_owned(), "1".to_owned(), id.to_string(), "1".to_owned()]);
            pipeline.fcall::<(), _, _, _>("moyiza_enter", room.keys(), arguments).await.unwrap();
        }
        pipeline.all::<Vec<Value>>().await.unwrap();
    }
    room
}

/// How long Redis has worked on functions, in microseconds.
async fn work(client: &Client) -> u64 {
    let info: String = client.info(Some(InfoKind::CommandStats)).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_fcall:")).expect("some were called");
    let usec = line.split(',').find_map(|field| field.strip_prefix("usec=")).expect("it has that");
    usec.parse().unwrap()
}

/// The work of burying a node with so many readers, at best: whoever else uses the machine makes it only more.
async fn burying(client: &Client, tag: &str, readers: i64) -> u64 {
    let mut least = u64::MAX;
    for turn in 0..3 {
        let room = crowded(client, &format!("{tag}{turn}"), readers).await;
        let before = work(client).await;
        room.call("moyiza_bury", &["4".to_owned()]).await;
        least = least.min(work(client).await - before);
        let (_, _, positions) = room.snapshot().await;
        let back = positions.iter().map(|(user, at)| (user.get(), *at));
        assert!(back.eq((1..=readers).map(|id| (id, seq(id)))), "everybody stands where they came from");
        assert_eq!(hash_keys(client, &room.keys()[4]).await, [""; 0], "nothing is said of a dead node");
    }
    least
}

#[tokio::test]
async fn burying_a_node_costs_as_much_for_each_of_its_readers_however_many() {
    let (_server, client) = alone().await;
    let (few, many) = (burying(&client, "few", FEW).await, burying(&client, "many", MANY).await);
    println!("burying a node of {FEW}: {few} µs; of {MANY}: {many} µs");
    // Ten times as many readers: a hundred times as much if each was looked for among all.
    assert!(many < 40 * few, "{few} µs for {FEW}, {many} µs for {MANY}");
}

#[tokio::test]
async fn entering_costs_the_same_however_many_have() {
    let (_server, client) = alone().await;
    let room = crowded(&client, "room", MANY).await;
    println!("{MANY} enterings: {} µs", work(&client).await);
    let command = CustomCommand::new_static("HVALS", ClusterHash::FirstKey, false);
    let said: Vec<String> = client.custom(command, vec![room.keys()[4].clone()]).await.unwrap();
    let longest = said.iter().map(String::len).max();
    assert!(longest < Some(64), "what is read and written for one is {longest:?} bytes");
    // A checkpoint speaks of all of them.
    let own = ["4".to_owned(), "2".into(), "7".into(), seq(MANY).to_string()];
    room.call("moyiza_checkpoint", &own).await;
    assert_eq!(hash_keys(&client, &room.keys()[4]).await, ["4"]);
}
