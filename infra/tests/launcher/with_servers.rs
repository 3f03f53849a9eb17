//! Servers lent to a command.

use std::{fs, process::Stdio};

use crate::process::{moyiza, postgres_of, processes_with, until};

#[test]
fn the_exit_code_is_the_commands() {
    let code = |arguments: &[&str]| {
        let none = ["with-servers", "--no-postgres", "--no-redis", "--no-kafka", "--"];
        moyiza(&[&none[..], arguments].concat()).stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(code(&["true"]), Some(0));
    assert_eq!(code(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(code(&["sh", "-c", "kill -9 $$"]), Some(128 + 9));
    assert_eq!(code(&["/no/such/program"]), Some(127));
}

#[test]
fn the_command_gets_servers_that_work_and_nothing_is_left() {
    let store = tempfile::tempdir().unwrap();
    let script = "echo $MOYIZA_TEST_DATABASE_URL; echo x${MOYIZA_TEST_REDIS_URL}x";
    let mut command = moyiza(&["with-servers", "--no-redis", "--no-kafka", "--", "sh", "-c", script]);
    command.env("MOYIZA_SERVERS_DIR", store.path()).env_remove("MOYIZA_TEST_REDIS_URL");
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let (url, redis) = printed.trim().split_once('\n').unwrap();
    assert!(url.starts_with("postgres://moyiza@127.0.0.1:"), "{printed}");
    assert_eq!(redis, "xx", "what was not started is not named");
    let scratch = fs::read_dir(store.path().join("scratch")).unwrap();
    assert_eq!(scratch.count(), 0, "the data is gone");
}

#[test]
fn a_killed_with_servers_takes_command_and_servers_along() {
    // So long only here.
    let seconds = format!("3{:09}", std::process::id());
    let store = tempfile::tempdir().unwrap();
    let mut command =
        moyiza(&["with-servers", "--no-redis", "--no-kafka", "--", "sh", "-c", "exec sleep $0", &seconds]);
    let mut launcher = command.env("MOYIZA_SERVERS_DIR", store.path()).stderr(Stdio::null()).spawn().unwrap();
    let runs = || processes_with(&["sleep", &seconds]);
    until("the command runs", || runs() == 1);
    let entry = fs::read_dir(store.path().join("scratch")).unwrap().next().unwrap().unwrap();
    assert_eq!(postgres_of(&entry.path()), 1);
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    until("the command is gone", || runs() == 0);
    until("PostgreSQL is gone", || postgres_of(&entry.path()) == 0);
}
