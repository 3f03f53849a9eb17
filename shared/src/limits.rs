//! What the system lets one process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: each connection is a file, and the soft limit is 1,024
/// on many machines only for the sake of `select(2)`.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(?current, %error, "the limit of open files stays");
    }
}

/// How many files this process may have open; `None` for as many as there are.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
