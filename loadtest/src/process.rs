//! What Linux tells of a process.

use std::{fs, ops::Sub};

use anyhow::Context;
use serde::Serialize;

/// Memory of processes, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident.
    pub rss_kib: u64,
    /// Resident, shared pages divided among those who share them.
    pub pss_kib: u64,
    /// Resident and nobody else's.
    pub private_kib: u64,
}

impl Memory {
    /// Of all of these processes together.
    pub fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            let kib = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
            };
            sum.rss_kib += kib("Rss:");
            sum.pss_kib += kib("Pss:");
            sum.private_kib += kib("Private_Clean:") + kib("Private_Dirty:");
        }
        Ok(sum)
    }
}

/// CPU time of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// In user mode.
    pub user_s: f64,
    /// In the kernel.
    pub system_s: f64,
}

impl Cpu {
    /// Of all of these processes together, since their start.
    pub fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        for pid in pids {
            let path = format!("/proc/{pid}/stat");
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            // The name, second, may hold anything; behind its bracket fields count from the third (proc(5)).
            let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
            let mut fields =
                fields.split_whitespace().skip(11).map(|field| field.parse::<f64>().unwrap_or(0.0));
            sum.user_s += fields.next().unwrap_or_default() / ticks;
            sum.system_s += fields.next().unwrap_or_default() / ticks;
        }
        Ok(sum)
    }

    /// Both together.
    pub fn total_s(self) -> f64 {
        self.user_s + self.system_s
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user_s: self.user_s - earlier.user_s, system_s: self.system_s - earlier.system_s }
    }
}

/// Takes as many open files as the system allows.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // Too few show as refused connections, with the system's own words.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let pids = [std::process::id()];
        let memory = Memory::of(&pids).unwrap();
        assert!(memory.rss_kib >= memory.pss_kib && memory.pss_kib >= memory.private_kib);
        assert!(memory.private_kib > 0);
        assert!(Cpu::of(&pids).is_ok());
        assert!(Memory::of(&[u32::MAX]).is_err());
    }
}
