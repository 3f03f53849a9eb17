//! Whom a server runs as. PostgreSQL refuses to run as root.

use std::{os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, Result, bail};

/// Users to choose from, by preference; both are on every Debian that has them at all.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user of a child process, and what it needs to reach its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunAs {
    ids: Option<(u32, u32)>,
    capability: Option<&'static str>,
}

impl RunAs {
    /// As this process.
    pub const fn same() -> Self {
        Self { ids: None, capability: None }
    }

    /// As this process, or, where that is root, as an unprivileged user: the owner of `data` if somebody else
    /// than root owns it already. Where a directory above one of `paths` shuts that user out (a checkout
    /// below `/root`), the child keeps the one capability to pass it.
    pub fn unprivileged(data: &Path, paths: &[&Path]) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::same());
        }
        let owner = std::fs::metadata(data).ok().map(|data| (data.uid(), data.gid()));
        let ids = match owner {
            Some(ids) if ids.0 != 0 => ids,
            _ => unprivileged_user(&std::fs::read_to_string("/etc/passwd")?)?,
        };
        let shut_out = paths.iter().any(|path| !can_pass(path));
        let capability = if shut_out { Some(passing_capability()?) } else { None };
        Ok(Self { ids: Some(ids), capability })
    }

    /// Gives `path` to this user.
    pub fn own(&self, path: &Path) -> Result<()> {
        let Some((uid, gid)) = self.ids else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
            .with_context(|| format!("cannot give {} to user {uid}", path.display()))
    }

    pub(super) fn setpriv_arguments(&self) -> Vec<String> {
        let Some((uid, gid)) = self.ids else { return Vec::new() };
        let mut arguments = vec![format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()];
        if let Some(capability) = self.capability {
            arguments.push(format!("--inh-caps=-all,+{capability}"));
            arguments.push(format!("--ambient-caps=-all,+{capability}"));
        }
        arguments
    }
}

/// Whether any user may pass every directory above `path`.
fn can_pass(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut above = path.ancestors().skip(1);
    above.all(|directory| std::fs::metadata(directory).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

/// The weakest capability that passes any directory and that this process has. Docker's default set has only
/// the second.
fn passing_capability() -> Result<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let permitted = status
        .lines()
        .find_map(|line| line.strip_prefix("CapPrm:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or_default();
    // Numbers from linux/capability.h.
    let has = |number: u32| permitted >> number & 1 == 1;
    if has(2) {
        Ok("dac_read_search")
    } else if has(1) {
        Ok("dac_override")
    } else {
        bail!("PostgreSQL's user cannot reach this directory: use one that everybody may pass (chmod o+x)")
    }
}

fn unprivileged_user(passwd: &str) -> Result<(u32, u32)> {
    let named = |name: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(name);
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_it.then_some((uid, gid))
        })
    };
    UNPRIVILEGED
        .into_iter()
        .find_map(named)
        .context("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_postgres_user_comes_before_nobody() {
        let nobody = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        assert_eq!(unprivileged_user(nobody).unwrap(), (65534, 65533));
        let postgres = format!("{nobody}postgres:x:101:102::/:/bin/sh\n");
        assert_eq!(unprivileged_user(&postgres).unwrap(), (101, 102));
        assert!(unprivileged_user("root:x:0:0:root:/root:/bin/bash\n").is_err());
    }
}
