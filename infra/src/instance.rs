//! The directory of an instance: one launcher at a time, and a record of what it runs.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// What a first start needs on the disk: a new PostgreSQL cluster takes 40 to 60 MB and its log as much again.
const FIRST_START_BYTES: u64 = 256 << 20;
/// What any start needs.
const START_BYTES: u64 = 64 << 20;

/// How an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// In one process.
    Embedded,
    /// As several.
    Cluster,
}

/// What runs, for commands that work on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// How.
    pub mode: Mode,
    /// On which database, password included: the file is for its owner alone.
    pub database_url: String,
    /// In development mode?
    pub development: bool,
    /// The api nodes.
    pub api: Vec<String>,
    /// The engine nodes.
    pub engines: Vec<String>,
}

/// An instance that this process owns.
#[derive(Debug)]
pub struct Instance {
    directory: PathBuf,
    /// Held as long as the process lives, however it ends.
    _lock: File,
}

impl Instance {
    /// Takes `directory`, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<Self> {
        let shown = directory.display();
        // Others may pass, as PostgreSQL's user has to, and see nothing.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(directory)
            .with_context(|| format!("cannot make the directory {shown} (MOYIZA_DIR)"))?;
        let directory = directory.canonicalize()?;
        let lock = lock(&directory)?;
        let new = !directory.join("postgres").exists();
        check_space(&directory, if new { FIRST_START_BYTES } else { START_BYTES })?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is, absolutely.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Says what runs.
    pub fn write(&self, record: &Record) -> Result<()> {
        let file = record_file(&self.directory);
        let partial = file.with_extension("partial");
        let mut options = File::options();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        serde_json::to_writer_pretty(&opened, record)?;
        fs::rename(partial, file).context("cannot write instance.json")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = fs::remove_file(record_file(&self.directory));
    }
}

/// What runs in `directory`.
pub fn running(directory: &Path) -> Result<Record> {
    let shown = directory.display();
    let nothing = || format!("no instance runs in {shown}: start one with `make run` or `make cluster`");
    let lock = File::open(lock_file(directory)).with_context(nothing)?;
    // A record without its launcher was left by one that was killed.
    if lock.try_lock_shared().is_ok() {
        bail!(nothing());
    }
    let record = fs::read(record_file(directory)).with_context(|| {
        format!("the instance in {shown} has not started yet, or belongs to another user")
    })?;
    serde_json::from_slice(&record).context("instance.json was written by another version of moyiza")
}

fn record_file(directory: &Path) -> PathBuf {
    directory.join("instance.json")
}

fn lock_file(directory: &Path) -> PathBuf {
    directory.join("lock")
}

fn lock(directory: &Path) -> Result<File> {
    let shown = directory.display();
    let mut options = File::options();
    let mut lock = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock_file(directory))
        .with_context(|| format!("cannot write in {shown} (MOYIZA_DIR)"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            bail!(
                "another moyiza (process {}) runs in {shown}: stop it, or set MOYIZA_DIR to another directory",
                holder.trim()
            );
        }
        Err(fs::TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {shown}"));
        }
    }
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())
        .with_context(|| format!("cannot write in {shown} (MOYIZA_DIR)"))?;
    Ok(lock)
}

fn check_space(directory: &Path, needed: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed {
        bail!(
            "the disk of {} is full: {} MB are free, and a start needs {} MB (MOYIZA_DIR)",
            directory.display(),
            free >> 20,
            needed >> 20
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_its_numbers() {
        let directory = tempfile::tempdir().unwrap();
        check_space(directory.path(), 0).unwrap();
        let error = check_space(directory.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains("is full") && error.contains("MOYIZA_DIR"), "{error}");
    }

    #[test]
    fn a_record_counts_only_while_its_launcher_lives() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("instance");
        let record = Record {
            mode: Mode::Embedded,
            database_url: "postgres://nowhere".into(),
            development: true,
            api: vec!["http://localhost:1".into()],
            engines: Vec::new(),
        };
        assert!(running(&directory).is_err());
        let instance = Instance::open(&directory).unwrap();
        instance.write(&record).unwrap();
        assert_eq!(running(&directory).unwrap(), record);
        let second = Instance::open(&directory).unwrap_err().to_string();
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        // As after a SIGKILL: the record stays, the lock goes.
        std::fs::copy(record_file(&directory), parent.path().join("left")).unwrap();
        drop(instance);
        std::fs::rename(parent.path().join("left"), record_file(&directory)).unwrap();
        assert!(running(&directory).unwrap_err().to_string().contains("no instance runs"));
    }
}
