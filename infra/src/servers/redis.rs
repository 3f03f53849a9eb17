//! Redis.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Store,
    child::{Child, Program},
    port, store,
    store::which,
    user::RunAs,
};

/// Functions, which the reading state is made of, came with this one.
const OLDEST_MAJOR: u32 = 7;

/// A running server.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    port: u16,
    installed: Installation,
    directory: PathBuf,
    keep: bool,
}

impl Redis {
    /// Starts a server that keeps its data in `directory/redis` if `keep`, and in memory only otherwise.
    pub async fn start(store: &Store, directory: &Path, keep: bool) -> Result<Self> {
        let installed = Installation::find(store).await?;
        fs::create_dir_all(data(directory))?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let [port] = port::free()?;
            let child = launch(&installed, directory, port, keep).await?;
            tokio::select! {
                () = answers(port) => {
                    return Ok(Self { child, port, installed, directory: directory.to_owned(), keep });
                }
                // The port was free a moment ago: another may be.
                status = child.wait() => if attempts == 4 {
                    bail!("Redis ended at start-up ({}): see {}", status?, log_file(directory).display());
                },
                () = tokio::time::sleep(Duration::from_mins(1)) => bail!("Redis was not ready in a minute"),
            }
        }
    }

    /// Starts it again on the same data and port, after its process was killed.
    pub async fn restart(&mut self) -> Result<()> {
        self.child = launch(&self.installed, &self.directory, self.port, self.keep).await?;
        tokio::select! {
            () = answers(self.port) => Ok(()),
            status = self.child.wait() => {
                bail!("Redis ended at its restart ({}): see {}", status?, log_file(&self.directory).display())
            }
        }
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The program, and where the libraries are that the system lacks: for who starts another.
    pub fn program(&self) -> (&Path, Option<&Path>) {
        (&self.installed.server, self.installed.libraries.as_deref())
    }

    /// The process.
    pub const fn child(&self) -> &Child {
        &self.child
    }

    /// Stops it.
    pub async fn stop(self) {
        self.child.stop(Signal::TERM, Duration::from_secs(10)).await;
    }
}

/// Where the server is, and where the libraries are that the system lacks.
#[derive(Debug)]
struct Installation {
    server: PathBuf,
    libraries: Option<PathBuf>,
}

impl Installation {
    async fn find(store: &Store) -> Result<Self> {
        if let Some(server) = which("redis-server") {
            let installed = Self { server, libraries: None };
            if installed.major().await? >= OLDEST_MAJOR {
                return Ok(installed);
            }
        }
        let root = store.obtain("redis", fetch).await?;
        let below = root.join("usr/lib");
        let fetched =
            Self { server: root.join("usr/bin/redis-server"), libraries: Some(library_path(&below)) };
        let major = fetched.major().await?;
        if major < OLDEST_MAJOR {
            bail!(
                "the system's packages have Redis {major}, and {OLDEST_MAJOR} is needed: install a newer one"
            );
        }
        Ok(fetched)
    }

    fn program(&self) -> Program {
        // KILL: what was answered is with the system by then, and the next start finds the data free at once.
        let mut program =
            Program::new("Redis", &self.server, &RunAs::same(), Signal::KILL).in_own_process_group();
        if let Some(libraries) = &self.libraries {
            program.command().env("LD_LIBRARY_PATH", libraries);
        }
        program
    }

    async fn major(&self) -> Result<u32> {
        let mut program = self.program();
        program.command().arg("--version");
        let said = program.output().await?;
        let version = said.split("v=").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok());
        version.with_context(|| format!("unexpected version of Redis: {}", said.trim()))
    }
}

async fn launch(installed: &Installation, directory: &Path, port: u16, keep: bool) -> Result<Child> {
    let log = fs::File::options().create(true).append(true).open(log_file(directory))?;
    let mut program = installed.program();
    let command = program.command();
    command.current_dir(data(directory)).stdout(log).stderr(Stdio::null());
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", if keep { "yes" } else { "no" }]);
    program.start().await
}

fn data(directory: &Path) -> PathBuf {
    directory.join("redis")
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("redis.log")
}

/// Returns once the server answers PING (it says LOADING before).
async fn answers(port: u16) {
    loop {
        let ping = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.write_all(b"PING\r\n").await?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).await?;
            std::io::Result::Ok(answer == *b"+PONG\r\n")
        };
        if ping.await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const MISSING: &str = "install Redis 7 or newer";

/// Unpacks Debian's packages, and those they need that are not installed, into `directory`; the system stays
/// as it is.
async fn fetch(directory: PathBuf) -> Result<()> {
    let mut plan = plan(&directory).await;
    if plan.as_ref().map_or(true, Vec::is_empty) && rustix::process::geteuid().is_root() {
        store::run(&directory, "apt-get", &["update", "-qq"], MISSING).await?;
        plan = self::plan(&directory).await;
    }
    let packages = plan.context("cannot find out what Redis needs: install redis-server")?;
    let mut download = vec!["download", "-qq"];
    download.extend(packages.iter().map(String::as_str));
    store::run(&directory, "apt-get", &download, MISSING).await.context("cannot fetch Redis")?;
    for entry in fs::read_dir(&directory)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            let name = file.to_string_lossy().into_owned();
            store::run(&directory, "dpkg", &["-x", &name, "."], MISSING).await?;
            fs::remove_file(file)?;
        }
    }
    Ok(())
}

/// The packages an installation would add. apt only plays it through: no root, nothing changes.
async fn plan(directory: &Path) -> Result<Vec<String>> {
    let arguments = ["install", "--simulate", "--no-install-recommends", "redis-server"];
    let said = store::run(directory, "apt-get", &arguments, MISSING).await?;
    let added = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    Ok(added.map(str::to_owned).collect())
}

/// Debian's directory of libraries has the name of the architecture.
fn library_path(below: &Path) -> PathBuf {
    let entries = fs::read_dir(below).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut libraries = entries.filter(|path| path.to_string_lossy().contains("-linux-"));
    libraries.next().unwrap_or_else(|| below.to_owned())
}
