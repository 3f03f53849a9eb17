//! One process with everything: it keeps what it was given, and leaves nothing running.

use std::{fs, path::Path};

use moyiza::instance;
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};

use crate::process::{Launcher, embedded, kill, postgres_of, until};

async fn connect(directory: &Path) -> PgConnection {
    PgConnection::connect(&instance::running(directory).unwrap().database_url).await.unwrap()
}

fn stops_by(signal: Signal) {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(&mut embedded(directory.path()));
    assert_eq!(postgres_of(directory.path()), 1);
    launcher.signal(signal);
    assert_eq!(launcher.end(), 0);
    assert_eq!(postgres_of(directory.path()), 0, "PostgreSQL is gone before the launcher is");
    assert!(instance::running(directory.path()).is_err());
}

#[test]
fn sigterm_stops_postgres_too() {
    stops_by(Signal::TERM);
}

#[test]
fn ctrl_c_stops_postgres_too() {
    stops_by(Signal::INT);
}

#[tokio::test]
async fn data_survives_a_restart_and_a_sigkill() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(&mut embedded(directory.path()));
    let first = launcher.took;
    let mut database = connect(directory.path()).await;
    sqlx::query("create table kept (word text)").execute(&mut database).await.unwrap();
    sqlx::query("insert into kept values ('stopped')").execute(&mut database).await.unwrap();
    drop(database);
    launcher.signal(Signal::TERM);
    assert_eq!(launcher.end(), 0);

    let launcher = Launcher::start(&mut embedded(directory.path()));
    println!("a first start took {first:?}, a later one {:?}", launcher.took);
    let mut database = connect(directory.path()).await;
    sqlx::query("insert into kept values ('killed')").execute(&mut database).await.unwrap();
    launcher.signal(Signal::KILL);
    assert_eq!(launcher.end(), 128 + 9);

    // At once, while PostgreSQL may still be on its way out.
    let launcher = Launcher::start(&mut embedded(directory.path()));
    let mut database = connect(directory.path()).await;
    let words: Vec<String> =
        sqlx::query_scalar("select word from kept order by word").fetch_all(&mut database).await.unwrap();
    assert_eq!(words, ["killed", "stopped"]);
    drop(launcher);
}

#[test]
fn postgres_ends_with_a_killed_launcher() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(&mut embedded(directory.path()));
    launcher.signal(Signal::KILL);
    launcher.end();
    until("PostgreSQL is gone", || postgres_of(directory.path()) == 0);
}

#[test]
fn a_pid_file_of_a_crashed_machine_does_not_keep_it_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let launcher = Launcher::start(&mut embedded(directory.path()));
    launcher.signal(Signal::TERM);
    launcher.end();
    // The number of a process that lives and is no PostgreSQL: this test.
    let file = directory.path().join("postgres/postmaster.pid");
    fs::write(&file, format!("{}\n/somewhere\n", std::process::id())).unwrap();
    drop(Launcher::start(&mut embedded(directory.path())));
}

#[test]
fn when_postgres_dies_everything_stops_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = embedded(directory.path());
    let log = directory.path().join("stderr");
    command.stderr(fs::File::create(&log).unwrap());
    let launcher = Launcher::start(&mut command);
    let pid_file = fs::read_to_string(directory.path().join("postgres/postmaster.pid")).unwrap();
    let pid = pid_file.lines().next().unwrap().parse().unwrap();
    kill(pid, Signal::KILL);
    assert_eq!(launcher.end(), 1);
    let said = fs::read_to_string(log).unwrap();
    assert!(said.lines().last().unwrap().starts_with("error: PostgreSQL ended by itself"), "{said}");
}
