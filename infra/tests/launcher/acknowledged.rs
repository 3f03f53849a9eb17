//! What was acknowledged is there, however the process ended.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use moyiza::instance;
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};
use tokio::sync::Notify;

use crate::{
    client::Client,
    process::{Launcher, embedded, moyiza},
};

const PEOPLE: usize = 20;
const ROOMS: usize = 2;
const BEFORE_THE_KILL: usize = 300;

/// Makes people: their tokens, and the rooms they are members of in turn.
fn seed(directory: &Path) -> (Vec<String>, Vec<i64>) {
    let out = directory.join("out");
    let mut seed = moyiza(&["seed", "--users", &PEOPLE.to_string(), "--rooms", &ROOMS.to_string(), "--dir"]);
    assert!(seed.arg(directory).arg("--out").arg(&out).status().unwrap().success());
    let lines = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let rooms = lines("rooms.txt").lines().map(|room| room.parse().unwrap()).collect();
    (lines("tokens.txt").lines().map(str::to_owned).collect(), rooms)
}

#[tokio::test]
async fn a_sigkill_loses_no_acknowledged_message() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(&mut embedded(directory.path()));
    let (tokens, rooms) = seed(directory.path());
    let engine = &instance::running(directory.path()).unwrap().engines[0];
    let addr = engine.strip_prefix("http://").unwrap().parse().unwrap();

    let (count, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut tasks = Vec::new();
    for (n, token) in tokens.iter().enumerate() {
        let mut client = Client::connect(addr, token).await;
        let (room, count, enough) = (rooms[n % ROOMS], count.clone(), enough.clone());
        tasks.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            // Until the node is gone.
            for message in 0.. {
                let content = format!("{n}/{message}");
                let Some(seq) = client.try_post(room, &content).await else { break };
                acknowledged.push((room, seq, content));
                if count.fetch_add(1, Ordering::Relaxed) == BEFORE_THE_KILL {
                    enough.notify_one();
                }
            }
            acknowledged
        }));
    }
    enough.notified().await;
    launcher.signal(Signal::KILL);
    assert_eq!(launcher.end(), 128 + 9);
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }

    let launcher = Launcher::start(&mut embedded(directory.path()));
    let url = instance::running(directory.path()).unwrap().database_url;
    let mut database = PgConnection::connect(&url).await.unwrap();
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(
        "select room_id, seq, body::json ->> 'content' from chat_messages where kind = 0 order by room_id, seq",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    assert!(acknowledged.len() > BEFORE_THE_KILL);
    for message in &acknowledged {
        assert!(rows.contains(message), "acknowledged and lost: {message:?}");
    }
    drop(launcher);
}
