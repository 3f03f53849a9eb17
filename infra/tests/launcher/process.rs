//! A `moyiza` process in a test.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// `moyiza`, with an environment that says nothing and the repository's fetched servers.
pub(crate) fn moyiza(arguments: &[&str]) -> Command {
    moyiza_at(Path::new(env!("CARGO_BIN_EXE_moyiza")), arguments)
}

/// The same, as `program`.
pub(crate) fn moyiza_at(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let named = name.to_string_lossy();
        if named == "DATABASE_URL" || (named.starts_with("MOYIZA_") && !named.starts_with("MOYIZA_TEST_")) {
            command.env_remove(name);
        }
    }
    command.env("MOYIZA_SERVERS_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/../.servers"));
    command
}

/// `moyiza run` on `directory` and free ports.
pub(crate) fn run_on(directory: &Path) -> Command {
    let mut command = moyiza(&["run", "--log", "warn", "--dir"]);
    command.arg(directory).args(["--api-addr", "127.0.0.1:0", "--engine-addr", "127.0.0.1:0"]);
    command
}

/// The same, with nobody in it.
pub(crate) fn embedded(directory: &Path) -> Command {
    let mut command = run_on(directory);
    command.arg("--no-demo");
    command
}

/// A launcher that said it is ready. Dropped, it is stopped.
pub(crate) struct Launcher {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// All it printed, up to its ready line.
    pub(crate) printed: String,
    /// How long that took.
    pub(crate) took: Duration,
}

impl Launcher {
    /// Starts `command` and waits for its ready line.
    pub(crate) fn start(command: &mut Command) -> Self {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut launcher = Self { child, stdout, printed: String::new(), took: Duration::ZERO };
        let is_ready = |line: &str| line.starts_with("moyiza is ready at http://localhost:");
        while !launcher.printed.lines().last().is_some_and(is_ready) {
            let read = launcher.stdout.read_line(&mut launcher.printed).unwrap();
            assert!(read > 0, "ended before it was ready: {}", launcher.printed);
        }
        launcher.took = began.elapsed();
        launcher
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(i32::try_from(self.child.id()).unwrap(), signal);
    }

    /// Waits for its end; its exit code, or 128 and the signal that ended it.
    pub(crate) fn end(mut self) -> i32 {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "the ready line is the last one");
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // Its end is PostgreSQL's end too, after which the test's directory can go.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Sends process `id` a signal.
pub(crate) fn kill(id: i32, signal: Signal) {
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// Runs `command` to its end, which must be an error told in one line; that line.
pub(crate) fn one_error_line(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it should have failed: {said}");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert_eq!(output.stdout, b"", "and nothing else");
    assert!(said.starts_with("error: "), "{said}");
    said
}

/// Waits for `condition`, which no event tells of.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// How many processes have these arguments one after the other. A child that was forked a moment ago still has its parent's:
/// it is not counted beside that.
pub(crate) fn processes_with(arguments: &[&str]) -> usize {
    let sought: Vec<u8> = arguments.iter().flat_map(|word| [b"\0", word.as_bytes()].concat()).collect();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let has_them = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        [b"\0", &line[..]].concat().windows(sought.len()).any(|part| part == sought)
    };
    // The name, second, may hold anything; behind its bracket come the state and the parent (proc(5)).
    let parent = |process: &Path| -> Option<u32> {
        let text = fs::read_to_string(process.join("stat")).ok()?;
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let own = |process: &Path| process.file_name()?.to_str()?.parse::<u32>().ok();
    let found: Vec<_> = entries.map(|entry| entry.path()).filter(|process| has_them(process)).collect();
    let all: Vec<_> = found.iter().filter_map(|process| own(process)).collect();
    found.iter().filter(|process| parent(process).is_none_or(|parent| !all.contains(&parent))).count()
}

/// The processes that work in `directory`, or have it among their arguments.
pub(crate) fn processes_below(directory: &Path) -> Vec<i32> {
    let directory = directory.canonicalize().unwrap();
    let path = directory.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let is_below = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let works_there = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&directory));
        works_there || line.windows(path.len()).any(|part| part == path)
    };
    entries
        .filter(|entry| is_below(&entry.path()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The PostgreSQL servers of the instance in `directory`.
pub(crate) fn postgres_of(directory: &Path) -> usize {
    let data = directory.canonicalize().unwrap().join("postgres");
    processes_with(&["-D", &data.to_string_lossy()])
}
