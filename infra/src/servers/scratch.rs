//! Directories for servers that are thrown away.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::Store;

/// A directory that is removed when dropped. What a killed process left is removed by the next one.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new directory in `store`.
    pub async fn new(store: &Store) -> Result<Self> {
        // Held while somebody makes a directory or looks for abandoned ones, so that nobody takes a directory
        // that is not locked yet for an abandoned one.
        let _making = store.lock("scratch").await?;
        let all = store.path("scratch");
        fs::create_dir_all(&all)?;
        remove_abandoned(&all)?;
        let name = format!("{}-{}", std::process::id(), getrandom::u32()?);
        let path = all.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // Servers may run as another user.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        let lock = File::create(path.join("lock"))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a scratch directory");
        }
    }
}

fn remove_abandoned(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        let abandoned = File::open(path.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned {
            // A server that is just ending may still write there; the next start tries again.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_nobody_holds_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path()).unwrap();
        let held = Scratch::new(&store).await.unwrap();
        let abandoned = store.path("scratch").join("1-1");
        fs::create_dir(&abandoned).unwrap();
        File::create(abandoned.join("lock")).unwrap();
        let second = Scratch::new(&store).await.unwrap();
        assert!(!abandoned.exists());
        assert!(held.path().exists());
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }
}
