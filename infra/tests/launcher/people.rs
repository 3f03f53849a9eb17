//! Who lives in an instance: the demo's people, and those that are made for load tests.

use std::{collections::BTreeSet, fs, path::Path};

use moyiza::instance;
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};

use crate::process::{Launcher, embedded, moyiza, one_error_line, run_on};

async fn count(directory: &Path, table: &str) -> i64 {
    let url = instance::running(directory).unwrap().database_url;
    let mut database = PgConnection::connect(&url).await.unwrap();
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(query).fetch_one(&mut database).await.unwrap()
}

#[tokio::test]
async fn a_first_start_plants_the_demo_and_a_later_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(&mut run_on(directory.path()));
    let printed: Vec<&str> = launcher.printed.lines().collect();
    assert_eq!(printed.iter().filter(|line| line.contains("@moyiza.example")).count(), 3, "{printed:?}");
    assert_eq!(count(directory.path(), "users").await, 3);
    assert_eq!(count(directory.path(), "meetups").await, 2);
    assert_eq!(count(directory.path(), "chat_messages where kind = 0").await, 6);
    launcher.signal(Signal::TERM);
    launcher.end();
    let launcher = Launcher::start(&mut run_on(directory.path()));
    assert_eq!(launcher.printed.lines().count(), 1, "{}", launcher.printed);
    assert_eq!(count(directory.path(), "users").await, 3);
}

#[tokio::test]
async fn no_demo_leaves_the_instance_empty() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(&mut embedded(directory.path()));
    assert_eq!(launcher.printed.lines().count(), 1, "{}", launcher.printed);
    assert_eq!(count(directory.path(), "users").await, 0);
}

#[tokio::test]
async fn seed_makes_people_who_are_members_of_one_room_each() {
    let directory = tempfile::tempdir().unwrap();
    let _launcher = Launcher::start(&mut embedded(directory.path()));
    let out = directory.path().join("out");
    let mut seed = moyiza(&["seed", "--users", "7", "--rooms", "3", "--dir"]);
    assert!(seed.arg(directory.path()).arg("--out").arg(&out).status().unwrap().success());
    let lines = |name: &str| -> Vec<String> {
        fs::read_to_string(out.join(name)).unwrap().lines().map(str::to_owned).collect()
    };
    let (tokens, rooms) = (lines("tokens.txt"), lines("rooms.txt"));
    assert_eq!(tokens.len(), 7);
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 7, "each is somebody else's");
    assert_eq!(rooms.len(), 3);
    // Seven people in three rooms: 3, 2 and 2.
    let url = instance::running(directory.path()).unwrap().database_url;
    let mut database = PgConnection::connect(&url).await.unwrap();
    let members = "select count(*) from memberships where meetup_id = $1 and state = 'member'";
    for (room, expected) in rooms.iter().zip([3_i64, 2, 2]) {
        let id: i64 = room.parse().unwrap();
        let found: i64 = sqlx::query_scalar(members).bind(id).fetch_one(&mut database).await.unwrap();
        assert_eq!(found, expected, "in room {room}");
    }
}

#[test]
fn seed_is_refused_without_an_instance_and_outside_of_development_mode() {
    let directory = tempfile::tempdir().unwrap();
    let seed = || {
        let mut command = moyiza(&["seed", "--users", "1", "--rooms", "1", "--out"]);
        command.arg(directory.path().join("out")).arg("--dir").arg(directory.path());
        command
    };
    assert!(one_error_line(&mut seed()).contains("no instance runs"));
    let mut command = embedded(directory.path());
    command.arg("--development=false");
    let _launcher = Launcher::start(&mut command);
    assert!(one_error_line(&mut seed()).contains("not in development mode"));
    assert!(!directory.path().join("out").exists());
}
