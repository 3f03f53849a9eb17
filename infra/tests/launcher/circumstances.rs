//! Bad circumstances: one clear line, a non-zero exit, nothing half-started.

use std::net::TcpListener;

use crate::{
    old_postgres,
    process::{Launcher, embedded, moyiza, one_error_line},
};

#[test]
fn a_taken_port_is_named_with_the_setting_that_moves_it() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, variable) in [("--api-addr", "MOYIZA_API_ADDR"), ("--engine-addr", "MOYIZA_ENGINE_ADDR")] {
        let said = one_error_line(embedded(directory.path()).args([flag, &address]));
        assert!(said.contains(&address) && said.contains(variable), "{said}");
    }
    assert!(!directory.path().join("postgres").exists(), "PostgreSQL was not even made");
}

#[test]
fn a_second_instance_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Launcher::start(&mut embedded(directory.path()));
    let said = one_error_line(&mut embedded(directory.path()));
    assert!(said.contains("another moyiza") && said.contains("MOYIZA_DIR"), "{said}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    // Below a file nobody can make a directory, not even root.
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = one_error_line(&mut embedded(&file.path().join("instance")));
    assert!(said.contains(file.path().to_str().unwrap()) && said.contains("MOYIZA_DIR"), "{said}");
}

#[test]
fn an_unreachable_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    // Bound, so that nobody else takes it, and then given up.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://moyiza:secret@{nobody}/moyiza");
    let said = one_error_line(embedded(directory.path()).args(["--database-url", &url]));
    assert!(said.contains(&nobody.to_string()) && said.contains("DATABASE_URL"), "{said}");
    assert!(said.contains("refused") && !said.contains("secret"), "{said}");
}

#[test]
fn an_unsupported_version_of_the_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = old_postgres::start();
    let url = format!("postgres://moyiza@{server}/moyiza");
    let said = one_error_line(embedded(directory.path()).args(["--database-url", &url]));
    assert!(said.contains("14.9") && said.contains("15 or newer"), "{said}");
}

#[test]
fn a_missing_tool_is_named_with_where_it_comes_from() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = moyiza(&["with-servers", "--no-postgres", "--no-redis", "--", "true"]);
    // Kafka without Java: nothing is on this PATH.
    let said = one_error_line(command.env("PATH", directory.path()));
    assert!(said.contains("`java` is missing") && said.contains("install"), "{said}");
}

#[test]
fn an_unknown_setting_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let said = one_error_line(embedded(directory.path()).env("MOYIZA_API_ADRR", "127.0.0.1:1"));
    assert!(said.contains("MOYIZA_API_ADRR"), "{said}");
}

#[test]
fn help_lists_every_setting_of_every_part() {
    for arguments in [&["--help"][..], &["run", "--help"], &["cluster", "--help"]] {
        let output = moyiza(arguments).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        for name in
            ["DATABASE_URL", "MOYIZA_API_ADDR", "MOYIZA_ENGINE_ADDR", "MOYIZA_DIR", "MOYIZA_KAFKA_BROKERS"]
        {
            assert!(help.contains(name), "{name} in {arguments:?}");
        }
    }
}
