//! A server, or its traces, that an earlier launcher left in a data directory.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Stops the server that runs on `data`, if one does, and removes the file that would keep a new one from
/// starting. The caller holds the instance's lock: no launcher owns that server any more.
pub(super) async fn stop(data: &Path) -> Result<()> {
    let file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    let Some(pid) = pid.filter(|pid| serves(*pid, data)) else {
        // After a crash of the machine the number may belong to any process, and PostgreSQL would not start.
        let _ = fs::remove_file(&file);
        return Ok(());
    };
    tracing::info!(pid = pid.as_raw_nonzero(), "stopping the PostgreSQL that an earlier start left behind");
    for (signal, patience) in [(Signal::INT, 20), (Signal::QUIT, 10)] {
        let _ = kill_process(pid, signal);
        if tokio::time::timeout(Duration::from_secs(patience), gone(pid)).await.is_ok() {
            return Ok(());
        }
    }
    bail!("a PostgreSQL of an earlier start (process {}) does not stop", pid.as_raw_nonzero())
}

/// Whether process `pid` is a PostgreSQL on `data`. It runs with the data as its working directory.
fn serves(pid: Pid, data: &Path) -> bool {
    let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    let there = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == data);
    // Its first moments, before it changes the directory.
    let named = fs::read(process.join("cmdline")).is_ok_and(|line| {
        line.split(|byte| *byte == 0).any(|argument| argument == data.as_os_str().as_encoded_bytes())
    });
    there || named
}

/// It is not our child, so its end is no event here.
async fn gone(pid: Pid) {
    while test_kill_process(pid).is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
