//! All processes of a server: the one that was started, and one for each connection and each duty. They are in
//! sessions of their own, so no signal reaches them together.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::servers::child::Child;

/// Nothing of a killed server may be left when it starts again: it refuses to while anybody uses its memory.
pub(super) async fn kill(server: &Child) {
    // Frozen first, it starts no more.
    freeze(server);
    let children = children(server);
    send(&children, Signal::KILL);
    server.kill().await;
    for child in children {
        // They are not ours to be waited for.
        while is_alive(child) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(super) fn freeze(server: &Child) {
    server.freeze();
    send(&children(server), Signal::STOP);
}

pub(super) fn thaw(server: &Child) {
    send(&children(server), Signal::CONT);
    server.thaw();
}

fn send(processes: &[Pid], signal: Signal) {
    for process in processes {
        // It may have ended a moment ago.
        let _ = kill_process(*process, signal);
    }
}

/// Those whose parent `server` is: PostgreSQL's processes have no children of their own.
fn children(server: &Child) -> Vec<Pid> {
    let parent = server.id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |id: &Pid| state_and_parent(*id).is_some_and(|(_, found)| found == parent);
    ids.filter_map(Pid::from_raw).filter(is_child).collect()
}

/// Whether it still holds anything: one that has ended and that nobody has waited for does not.
fn is_alive(process: Pid) -> bool {
    state_and_parent(process).is_some_and(|(state, _)| state != "Z")
}

fn state_and_parent(process: Pid) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // The program's name stands before them, in brackets, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}
