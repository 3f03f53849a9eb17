//! What was acknowledged is there, however the process ended.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moyiza::instance;
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};
use tokio::sync::Notify;

use crate::{
    client::{Client, PATIENCE},
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
async fn who_was_reading_at_a_sigkill_has_read_what_was_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(embedded(directory.path()).env("MOYIZA_READING_JOURNAL_MS", "200"));
    let (tokens, rooms) = seed(directory.path());
    let (room, members) = (rooms[0], i64::try_from(PEOPLE / ROOMS).unwrap());
    let addr = |directory: &Path| {
        let engine = &instance::running(directory).unwrap().engines[0];
        engine.strip_prefix("http://").unwrap().parse().unwrap()
    };
    let (mut anna, mut bo) = (
        Client::connect(addr(directory.path()), &tokens[0]).await,
        Client::connect(addr(directory.path()), &tokens[ROOMS]).await,
    );
    anna.follow(room).await;
    bo.follow(room).await;
    let seq = anna.post(room, "둘이 봄").await;
    bo.expect_count(seq, members - 2).await;
    let url = instance::running(directory.path()).unwrap().database_url;
    let mut database = PgConnection::connect(&url).await.unwrap();
    // Anna's is her own message. Nobody announces that Bo's is written.
    let read = "select count(*) from read_positions where room_id = $1 and seq >= $2";
    let written = async {
        loop {
            let count: i64 =
                sqlx::query_scalar(read).bind(room).bind(seq).fetch_one(&mut database).await.unwrap();
            if count == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("who reads on is written down");
    drop(database);
    launcher.signal(Signal::KILL);
    assert_eq!(launcher.end(), 128 + 9);

    let launcher = Launcher::start(&mut embedded(directory.path()));
    let mut anna = Client::connect(addr(directory.path()), &tokens[0]).await;
    anna.follow_with_history(room, 10).await;
    let shown = anna.expect_shown().await;
    assert_eq!((shown.seq, shown.unread), (seq, members - 2));
    drop(launcher);
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
