//! PostgreSQL: a cluster in a directory of ours, reachable over TCP only.

mod binaries;
mod leftover;
mod processes;

use std::{
    fs::{self, File},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;

pub use binaries::Binaries;

use super::{
    Store,
    child::{Child, Program},
    port, store,
    user::RunAs,
};

/// The one role, a superuser.
const USER: &str = "moyiza";

/// How a cluster is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Durable, and with a password, as it may run for days on a machine with other users.
    Forever,
    /// For a test: nothing is synced, anybody on the machine may connect, many do.
    Scratch,
    /// For a test that kills it: as [`Keep::Scratch`], but what was committed is with the system by then.
    Killed,
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    log: Log,
    port: u16,
    password: Option<String>,
    origin: Origin,
}

/// What it was started from, and can be again.
#[derive(Debug)]
struct Origin {
    binaries: Binaries,
    user: RunAs,
    data: PathBuf,
    keep: Keep,
}

/// The server's log, from this start on: what it said before says nothing about now.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    from: u64,
}

impl Postgres {
    /// Starts the cluster in `directory/postgres`, which is made if it is not there; its log is
    /// `directory/postgres.log`. A server that a killed launcher left there is stopped first.
    pub async fn start(store: &Store, directory: &Path, keep: Keep) -> Result<Self> {
        let written_by = binaries::major_of(&directory.join("postgres"))?;
        let binaries = Binaries::find(store, written_by).await?;
        Self::start_on(&binaries, directory, keep).await
    }

    /// The same, with the programs given.
    pub async fn start_on(binaries: &Binaries, directory: &Path, keep: Keep) -> Result<Self> {
        let directory = directory.canonicalize()?;
        let data = directory.join("postgres");
        leftover::stop(&data).await?;
        let user = RunAs::unprivileged(&data, &[&data, &binaries.server()])?;
        if !data.exists() {
            init(binaries, &user, &directory, &data, keep).await?;
        }
        let password = match keep {
            Keep::Forever => Some(fs::read_to_string(password_file(&directory))?),
            Keep::Scratch | Keep::Killed => None,
        };
        let origin = Origin { binaries: binaries.clone(), user, data, keep };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let [port] = port::free()?;
            let log = Log::open(&directory);
            let child = launch(&origin, &log.path, port).await?;
            match wait_ready(&child, &origin.data, &log).await {
                Ok(()) => return Ok(Self { child, log, port, password, origin }),
                // Somebody else took the port in between.
                Err(error) if attempts < 4 && format!("{error:#}").contains("could not") => {
                    tracing::debug!(%error, "starting PostgreSQL again");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends all its processes by SIGKILL, as when the machine loses its power but not its disks' caches.
    pub async fn kill(&self) {
        processes::kill(&self.child).await;
    }

    /// Whether it has ended, killed or by itself.
    pub fn has_ended(&self) -> bool {
        self.child.has_ended()
    }

    /// Starts it again on the same data and port, after it was killed.
    pub async fn restart(&mut self) -> Result<()> {
        leftover::stop(&self.origin.data).await?;
        self.child = launch(&self.origin, &self.log.path, self.port).await?;
        wait_ready(&self.child, &self.origin.data, &self.log).await
    }

    /// Stops every one of its processes where it is, until it is thawed.
    pub fn freeze(&self) {
        processes::freeze(&self.child);
    }

    /// Lets all of them go on.
    pub fn thaw(&self) {
        processes::thaw(&self.child);
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address for `database`.
    pub fn url(&self, database: &str) -> String {
        let secret = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{USER}{secret}@127.0.0.1:{}/{database}", self.port)
    }

    /// Waits until it has ended by itself, and says why.
    pub async fn failed(&self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("PostgreSQL ended by itself ({status}): {}", self.log.last_words()),
            Err(error) => error,
        }
    }

    /// Stops it: connections are cut, data is flushed.
    pub async fn stop(self) {
        self.child.stop(Signal::INT, Duration::from_secs(20)).await;
    }
}

fn password_file(directory: &Path) -> PathBuf {
    directory.join("postgres.password")
}

/// Makes the cluster aside and moves it into place whole, so that a start that fails half-way leaves nothing.
async fn init(binaries: &Binaries, user: &RunAs, directory: &Path, data: &Path, keep: Keep) -> Result<()> {
    let began = Instant::now();
    let staging = directory.join("postgres.partial");
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    fs::create_dir(&staging)?;
    fs::set_permissions(&staging, fs::Permissions::from_mode(0o700))?;
    user.own(&staging)?;
    let mut program = Program::new("initdb", binaries.initdb(), user, Signal::KILL);
    let command = program.command();
    command.current_dir("/").args(["-U", USER, "-E", "UTF8"]);
    // Byte order sorts the same after any upgrade of libc; letters are still known beyond ASCII.
    command.args(["--locale=C", "--lc-ctype=C.UTF-8"]).arg("-D").arg(&staging);
    match keep {
        Keep::Scratch | Keep::Killed => command.args(["-A", "trust", "--no-sync"]),
        Keep::Forever => {
            let password = random_password()?;
            let file = password_file(directory);
            let mut options = File::options();
            let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&file)?;
            std::io::Write::write_all(&mut &opened, password.as_bytes())?;
            user.own(&file)?;
            command.args(["-A", "scram-sha-256", "--pwfile"]).arg(&file)
        }
    };
    if let Err(error) = program.output().await {
        let _ = fs::remove_dir_all(&staging);
        return Err(error.context("cannot make a PostgreSQL cluster"));
    }
    fs::rename(&staging, data)?;
    tracing::info!(took = ?began.elapsed(), version = binaries.version(), "made a PostgreSQL cluster");
    Ok(())
}

fn random_password() -> Result<String> {
    let (high, low) = (getrandom::u64()?, getrandom::u64()?);
    Ok(format!("{high:016x}{low:016x}"))
}

async fn launch(origin: &Origin, log: &Path, port: u16) -> Result<Child> {
    let Origin { binaries, user, data, keep } = origin;
    let log = File::options().create(true).append(true).open(log)?;
    // SIGINT is PostgreSQL's fast shutdown: after a SIGKILL of ours it still ends cleanly. One that is to be killed may
    // be frozen then, and would never hear of it.
    let at_end = if *keep == Keep::Killed { Signal::KILL } else { Signal::INT };
    let mut program = Program::new("PostgreSQL", binaries.server(), user, at_end).in_own_process_group();
    let command = program.command();
    command.current_dir("/").stdout(Stdio::null()).stderr(log).arg("-D").arg(data);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let mut settings = vec!["unix_socket_directories=", "logging_collector=off", "log_destination=stderr"];
    match keep {
        Keep::Forever => settings.push("max_connections=200"),
        Keep::Scratch | Keep::Killed => {
            settings.extend(["fsync=off", "full_page_writes=off"]);
            settings.extend(["max_connections=400", "autovacuum_naptime=1h"]);
        }
    }
    if *keep == Keep::Scratch {
        settings.push("synchronous_commit=off");
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    program.start().await
}

impl Log {
    fn open(directory: &Path) -> Self {
        let path = directory.join("postgres.log");
        let from = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Self { path, from }
    }

    /// What it says last about something that went wrong.
    fn last_words(&self) -> String {
        let log = fs::read(&self.path).unwrap_or_default();
        let since = log.get(usize::try_from(self.from).unwrap_or(usize::MAX)..).unwrap_or_default();
        let log = String::from_utf8_lossy(since);
        let bad = |line: &&str| ["PANIC", "FATAL", "error"].iter().any(|mark| line.contains(mark));
        // Of what its end did to connections, and of databases that were to be made, nobody needs to hear.
        let harmless =
            |line: &&str| line.contains("terminating connection") || line.contains("does not exist");
        let told = log.lines().rev().filter(|line| !harmless(line)).find(bad);
        told.unwrap_or("its log does not say why").trim().to_owned()
    }
}

async fn wait_ready(child: &Child, data: &Path, log: &Log) -> Result<()> {
    // `pg_ctl --wait` looks here too: the server rewrites the eighth line once it takes connections.
    let pid_file = data.join("postmaster.pid");
    let is_ready = || {
        let text = fs::read_to_string(&pid_file).unwrap_or_default();
        let ours = text.lines().next() == Some(child.id().to_string().as_str());
        ours && text.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    };
    let poll = async {
        while !is_ready() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = poll => Ok(()),
        status = child.wait() => {
            bail!("PostgreSQL ended at start-up ({}): {}", status?, log.last_words())
        }
        // Longer than the recovery of a large log may take; the server is alive all the while.
        () = tokio::time::sleep(Duration::from_mins(2)) => bail!("PostgreSQL was not ready in two minutes"),
    }
}

/// What to do when there is no PostgreSQL and none can be fetched.
const MISSING_NPM: &str = "install Node.js with npm, or PostgreSQL 15 or newer, or set DATABASE_URL";

/// Fetches the pinned release into `directory`.
async fn fetch(directory: PathBuf) -> Result<()> {
    let package = binaries::package()?;
    let pack = ["pack", &package, "--silent", "--pack-destination", "."];
    let printed = store::run(&directory, "npm", &pack, MISSING_NPM).await;
    let printed = printed.with_context(|| format!("cannot fetch PostgreSQL ({package})"))?;
    let archive = printed.lines().last().context("npm pack named no file")?.trim().to_owned();
    let unpack = ["-xzf", &archive, "--strip-components=2", "package/native"];
    store::run(&directory, "tar", &unpack, "install the package tar").await?;
    fs::remove_file(directory.join(archive))?;
    binaries::link(&directory)
}
