//! The cluster: every part its own process, all of which come and go together.
//!
//! The nodes are stand-ins which say what they were told; the real ones are tested end to end. PostgreSQL, Redis
//! and Kafka are real.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use moyiza::instance::{self, Mode};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Launcher, kill, moyiza_at, one_error_line, processes_below, until};

/// A directory with the launcher, its stand-in nodes and the instance.
pub(crate) struct Cluster {
    directory: TempDir,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let moyiza = Path::new(env!("CARGO_BIN_EXE_moyiza"));
        let here = directory.path().join("moyiza");
        fs::hard_link(moyiza, &here).or_else(|_| fs::copy(moyiza, &here).map(drop)).unwrap();
        for (node, address) in [("api", "MOYIZA_API_ADDR"), ("chat-engine", "MOYIZA_ENGINE_ADDR")] {
            let script = include_str!("stand-in.js").replace("ADDRESS", address);
            let file = directory.path().join(node);
            fs::write(&file, script).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { directory }
    }

    pub(crate) fn instance(&self) -> PathBuf {
        self.directory.path().join("instance")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = moyiza_at(&self.directory.path().join("moyiza"), &["cluster", "--no-demo"]);
        command.args(["--log", "warn", "--api-addr", "127.0.0.1:0", "--engine-addr", "127.0.0.1:0", "--dir"]);
        command.arg(self.instance()).stderr(fs::File::create(self.log()).unwrap());
        command
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("stderr")
    }

    /// The launcher and all it started.
    fn processes(&self) -> Vec<i32> {
        processes_below(self.directory.path())
    }

    /// What the nodes called `name` were told of `variable`.
    pub(crate) fn told(&self, name: &str, variable: &str) -> Vec<String> {
        let log = fs::read_to_string(self.log()).unwrap();
        let lines = log.lines().filter(|line| line.starts_with(name));
        let values = lines.filter_map(|line| line.split_once(&format!("{variable}="))?.1.split(' ').next());
        values.map(str::to_owned).collect()
    }
}

#[test]
fn all_parts_know_each_other_and_ctrl_c_stops_them_all() {
    let cluster = Cluster::new();
    let mut command = cluster.command();
    let launcher = Launcher::start(command.args(["--max-frame-bytes", "70000"]));
    let record = instance::running(&cluster.instance()).unwrap();
    assert_eq!((record.mode, record.api.len(), record.engines.len()), (Mode::Cluster, 2, 2));
    // The launcher, PostgreSQL (and its own), Redis, Kafka, four nodes.
    assert!(cluster.processes().len() >= 8);
    for name in ["api", "chat-engine"] {
        assert_eq!(cluster.told(name, "DATABASE_URL"), vec![record.database_url.clone(); 2]);
        assert_eq!(cluster.told(name, "MOYIZA_DEVELOPMENT"), ["true", "true"]);
        // Given on the command line.
        assert_eq!(cluster.told(name, "MOYIZA_MAX_FRAME_BYTES"), ["70000", "70000"]);
        for server in ["MOYIZA_KAFKA_BROKERS", "MOYIZA_REDIS_URL"] {
            let [first, second] = cluster.told(name, server).try_into().unwrap();
            assert_eq!(first, second);
        }
    }
    // Each api sends its pages to an engine of its own, and both engines take pages of both.
    let engines: Vec<String> = record.engines.iter().map(|url| port(url).to_owned()).collect();
    let urls = cluster.told("api", "MOYIZA_ENGINE_URL");
    assert_eq!(urls.iter().map(|url| port(url.trim_end_matches("/ws"))).collect::<Vec<_>>(), engines);
    for origins in cluster.told("chat-engine", "MOYIZA_ORIGINS") {
        for api in &record.api {
            assert!(origins.contains(&format!("http://localhost:{}", port(api))), "{origins}");
        }
    }
    launcher.signal(Signal::INT);
    assert_eq!(launcher.end(), 0);
    assert_eq!(cluster.processes(), [0; 0]);
}

fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap()
}

#[test]
fn when_a_node_dies_everything_stops_with_a_reason() {
    let cluster = Cluster::new();
    let launcher = Launcher::start(&mut cluster.command());
    let engine = cluster.told("chat-engine", "PID").pop().unwrap().parse().unwrap();
    kill(engine, Signal::KILL);
    assert_eq!(launcher.end(), 1);
    let said = fs::read_to_string(cluster.log()).unwrap();
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("error: chat-engine ") && last.contains("ended by itself"), "{said}");
    assert_eq!(cluster.processes(), [0; 0]);
}

#[test]
fn a_killed_cluster_takes_all_along_and_starts_again() {
    let cluster = Cluster::new();
    let launcher = Launcher::start(&mut cluster.command());
    launcher.signal(Signal::KILL);
    launcher.end();
    drop(Launcher::start(&mut cluster.command()));
    until("nothing is left", || cluster.processes().is_empty());
}

#[test]
fn a_missing_binary_is_named() {
    let cluster = Cluster::new();
    fs::remove_file(cluster.directory.path().join("chat-engine")).unwrap();
    let said = one_error_line(cluster.command().stderr(std::process::Stdio::piped()));
    assert!(said.contains("`chat-engine` is not in"), "{said}");
}
