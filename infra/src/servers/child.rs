//! Child processes that end when this one does.
//!
//! Linux sends a child its "parent death signal" when the *thread* that spawned it ends, so each child gets a
//! thread of its own, which then waits for it. The signal is set by `setpriv`, which changes the user first: a
//! change of user clears it. Setting it here, between fork and exec, would need `unsafe`.

use std::{
    ffi::OsStr,
    io,
    process::{ChildStderr, ChildStdout, Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{oneshot, watch};

use super::user::RunAs;

/// A program about to be started.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
    at_end: Signal,
}

impl Program {
    /// `program`, to be started as `user` and to get the signal `at_end` when this process ends or drops it.
    pub fn new(name: &str, program: impl AsRef<OsStr>, user: &RunAs, at_end: Signal) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", name_of(at_end)]).args(user.setpriv_arguments());
        command.arg("--").arg(program).stdin(std::process::Stdio::null());
        Self { name: name.to_owned(), command, at_end }
    }

    /// Keeps the terminal's Ctrl-C from the child, so that who started it decides about the order.
    #[must_use]
    pub fn in_own_process_group(mut self) -> Self {
        use std::os::unix::process::CommandExt;
        self.command.process_group(0);
        self
    }

    /// The command, to add arguments, variables and files.
    pub const fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it. The error names the program.
    pub async fn start(self) -> Result<Child> {
        let Self { name, mut command, at_end } = self;
        let (started, start) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let thread = std::thread::Builder::new().name(format!("wait-{name}"));
        thread.spawn(move || match command.spawn() {
            Err(error) => drop(started.send(Err(error))),
            Ok(mut child) => {
                let pipes = (child.stdout.take(), child.stderr.take());
                let _ = started.send(Ok((child.id(), pipes)));
                let status = child.wait();
                let _ = end.send(Some(status.map_err(|error| error.kind())));
            }
        })?;
        let spawned = start.await.context("the thread that starts a process ended")?;
        let (id, (stdout, stderr)) = match spawned {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("`setpriv` is missing: install the package util-linux")
            }
            spawned => spawned.with_context(|| format!("cannot start {name}"))?,
        };
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("a process without an id")?;
        Ok(Child { name, pid, ended, at_end, stdout, stderr })
    }

    /// Runs it to its end and returns what it printed. The error has the line that tells why.
    pub async fn output(mut self) -> Result<String> {
        use std::{io::Read, process::Stdio};
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.start().await?;
        let read = |pipe: Option<Box<dyn Read + Send>>| {
            tokio::task::spawn_blocking(move || {
                let mut text = Vec::new();
                // A pipe that breaks ends the text early; the exit status tells the rest.
                let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            })
        };
        let stdout = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
        let stderr = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
        let (stdout, stderr) = (stdout.await?, stderr.await?);
        let status = child.wait().await?;
        if !status.success() {
            let said = if stderr.trim().is_empty() { &stdout } else { &stderr };
            bail!("{} failed ({status}): {}", child.name, reason(said));
        }
        Ok(stdout)
    }
}

/// As `setpriv` knows it: by name only.
fn name_of(signal: Signal) -> &'static str {
    match signal {
        Signal::INT => "INT",
        Signal::TERM => "TERM",
        _ => "KILL",
    }
}

/// The line that tells why, in what a tool printed: each has its own way to mark it, and many say more after.
fn reason(said: &str) -> &str {
    const MARKS: [&str; 7] = ["FATAL", "Exception: ", "reason: ", "error: ", "E: ", "ERROR", "could not"];
    let marked = MARKS.iter().find_map(|mark| said.lines().find(|line| line.contains(mark)));
    let last = || said.lines().rfind(|line| !line.trim().is_empty());
    marked.or_else(last).unwrap_or("it said nothing").trim()
}

/// A running child. Dropped, it gets the signal that it gets when this process ends.
#[derive(Debug)]
#[must_use = "dropping it ends the process"]
pub struct Child {
    name: String,
    pid: Pid,
    ended: watch::Receiver<Option<Result<ExitStatus, io::ErrorKind>>>,
    at_end: Signal,
    /// Its standard output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, if that is a pipe.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits for its end. Cancel-safe.
    pub async fn wait(&self) -> Result<ExitStatus> {
        self.end().await
    }

    /// Its end, to be waited for apart from it.
    pub fn end(&self) -> impl Future<Output = Result<ExitStatus>> + Send + use<> {
        let (name, mut ended) = (self.name.clone(), self.ended.clone());
        async move {
            let status = ended.wait_for(Option::is_some).await.context("a waiting thread ended")?;
            let status = status.unwrap_or(Err(io::ErrorKind::Other));
            status.map_err(|kind| anyhow::anyhow!("cannot wait for {name}: {kind}"))
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Sends it `signal`, if it is still there.
    pub fn signal(&self, signal: Signal) {
        // The waiting thread reports the end right after reaping it, so the id can only have been given to
        // another process in between; ids are not re-used that fast.
        if !self.has_ended() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Stops it where it is (SIGSTOP), until it is thawed: alive for the system, silent for everybody else.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it by SIGKILL, also while it is frozen, and returns when it is gone.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        // Only how it ended is unknown then; that it has is what is asked for.
        let _ = self.wait().await;
    }

    /// Asks it to end by `signal`, kills it after `grace`, and returns when it is gone.
    pub async fn stop(self, signal: Signal, grace: Duration) {
        self.signal(signal);
        if tokio::time::timeout(grace, self.wait()).await.is_err() {
            tracing::warn!(name = self.name, "did not stop in time and is killed");
            self.signal(Signal::KILL);
            let _ = self.wait().await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(self.at_end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_among_what_tools_say() {
        let initdb =
            "creating directory\ninitdb: error: could not write: No space left on device\ninitdb: removing";
        assert!(reason(initdb).ends_with("No space left on device"));
        let npm = "npm error code ENOTFOUND\nnpm error network request failed, reason: getaddrinfo\nnpm error A log";
        assert!(reason(npm).ends_with("getaddrinfo"));
        assert_eq!(reason("one\ntwo\n\n"), "two");
    }
}
