//! What happened, when: one line each, with the seconds since the start.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use parking_lot::Mutex;

/// How long before something what led there happened, and how long after it is of interest, in seconds.
const BEFORE: f64 = 25.0;
const AFTER: f64 = 3.0;

/// The record of a run, in a directory of its own.
#[derive(Debug)]
pub struct Journal {
    began: Instant,
    directory: PathBuf,
    lines: Mutex<BufWriter<File>>,
    /// How often each kind of thing was noted.
    counts: Mutex<BTreeMap<String, u64>>,
    echo: bool,
}

impl Journal {
    /// A new one in `directory`, in place of what an earlier run left there. `echo`: faults are printed too.
    pub fn new(directory: &Path, echo: bool) -> Result<Self> {
        if directory.exists() {
            fs::remove_dir_all(directory)?;
        }
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let file = File::create(directory.join("journal.log"))?;
        Ok(Self {
            began: Instant::now(),
            directory: directory.to_owned(),
            lines: Mutex::new(BufWriter::new(file)),
            counts: Mutex::default(),
            echo,
        })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Something that was done to the cluster, or that it did by itself.
    pub fn note(&self, text: &str) {
        let line = self.write(text);
        if self.echo {
            println!("{line}");
        }
    }

    /// The same without printing it.
    pub fn note_quietly(&self, text: &str) {
        self.write(text);
    }

    /// Something that happened to the client called `who`; `kind` is counted.
    pub fn happened(&self, who: &str, kind: &str, detail: &str) {
        *self.counts.lock().entry(kind.to_owned()).or_default() += 1;
        self.write(&format!("{who}: {kind}{}{detail}", if detail.is_empty() { "" } else { ": " }));
    }

    /// How often each kind of thing happened to clients.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().clone()
    }

    /// Seconds since the start.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// What was done to the cluster, and what happened to `who`, around a time; the last `most` lines.
    pub fn around(&self, who: &str, at: u64, most: usize) -> Vec<String> {
        let _ = self.lines.lock().flush();
        let text = fs::read_to_string(self.directory.join("journal.log")).unwrap_or_default();
        let is_about = |line: &&str| {
            let Some((time, what)) = line.trim_start().split_once("  ") else { return false };
            let near = time.parse::<f64>().is_ok_and(|time| {
                // Seconds of a run are far below 2^52.
                #[allow(clippy::cast_precision_loss)]
                let distance = time - at as f64;
                (-BEFORE..AFTER).contains(&distance)
            });
            near && (what.starts_with(who) || !what.starts_with("client"))
        };
        let lines: Vec<_> = text.lines().filter(is_about).map(str::to_owned).collect();
        lines[lines.len().saturating_sub(most)..].to_vec()
    }

    fn write(&self, text: &str) -> String {
        let line = format!("{:8.2}  {text}", self.began.elapsed().as_secs_f64());
        // A full disk ends the run elsewhere. Flushed, so that who waits for a run can follow it.
        let mut lines = self.lines.lock();
        let _ = writeln!(lines, "{line}").and_then(|()| lines.flush());
        line
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.lines.lock().flush();
    }
}
