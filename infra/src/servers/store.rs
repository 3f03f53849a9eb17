//! Where fetched servers are kept.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::{child::Program, user::RunAs};

/// One directory of fetched servers. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in `directory`, which is made when something is fetched.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self> {
        let root = std::path::absolute(directory.into())?;
        // Kafka resolves `..` by the letter and would end elsewhere behind a symbolic link.
        let root = match (root.parent().map(Path::canonicalize), root.file_name()) {
            (Some(Ok(parent)), Some(name)) => parent.join(name),
            _ => root,
        };
        Ok(Self { root })
    }

    /// Where `name` is kept, whether it is there or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where `name` is kept; if it is not there, `fetch` fills an empty directory, which then becomes it. A
    /// fetch that fails or is killed leaves nothing that is taken for the real thing.
    pub async fn obtain<F>(&self, name: &str, fetch: impl FnOnce(PathBuf) -> F) -> Result<PathBuf>
    where
        F: Future<Output = Result<()>>,
    {
        let kept = self.path(name);
        if kept.exists() {
            return Ok(kept);
        }
        let _lock = self.lock(name).await?;
        if kept.exists() {
            return Ok(kept);
        }
        tracing::info!(name, "fetching, once");
        let staging = self.path(&format!("{name}.partial"));
        if staging.exists() {
            fs::remove_dir_all(&staging)?;
        }
        fs::create_dir(&staging)?;
        fetch(staging.clone()).await?;
        fs::rename(&staging, &kept)?;
        Ok(kept)
    }

    /// Holds the lock called `name` until the file is dropped.
    pub async fn lock(&self, name: &str) -> Result<File> {
        fs::create_dir_all(&self.root).with_context(|| format!("cannot make {}", self.root.display()))?;
        let path = self.path(&format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let file = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await??;
        Ok(file)
    }
}

/// Runs a tool in `directory` and returns what it printed. `missing` says what to do when it is not there.
pub(super) async fn run(directory: &Path, tool: &str, arguments: &[&str], missing: &str) -> Result<String> {
    let path = which(tool).with_context(|| format!("`{tool}` is missing: {missing}"))?;
    let mut program = Program::new(tool, path, &RunAs::same(), Signal::KILL);
    program.command().args(arguments).current_dir(directory);
    program.output().await
}

/// The program called `name` on `PATH`.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}
