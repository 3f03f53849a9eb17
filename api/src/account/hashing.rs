//! Argon2id, off the threads that serve requests, and only so many at a time.

use std::sync::Arc;

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use tokio::sync::Semaphore;

use super::Password;
use crate::problem::Problem;

/// Hashes and verifies. Argon2's defaults are OWASP's first choice: id, 19 MiB, two passes.
///
/// A hash keeps a core and 19 MiB busy for tens of milliseconds: more at once than there are cores finish no
/// sooner and only take the memory.
pub(crate) struct Hashing {
    at_once: Arc<Semaphore>,
    /// The hash of a password nobody has: what is verified when there is no account, for the same time.
    nobody: String,
}

impl Hashing {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let nobody = tokio::task::spawn_blocking(|| hash(b"nobody's")).await??;
        Ok(Self { at_once: Arc::new(Semaphore::new(cores)), nobody })
    }

    /// A password's hash in the PHC string format, with a salt of its own.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Problem> {
        self.run(move || hash(password.as_bytes()))
            .await?
            .map_err(|error| Problem::internal(error.to_string()))
    }

    /// Whether the password is the one of `expected`. Without one the answer is no, after the same work.
    pub(crate) async fn verify(&self, password: Password, expected: Option<String>) -> Result<bool, Problem> {
        let exists = expected.is_some();
        let expected = expected.unwrap_or_else(|| self.nobody.clone());
        let matches = self.run(move || verify(password.as_bytes(), &expected)).await?;
        Ok(matches && exists)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let permit = self.at_once.clone().acquire_owned().await.map_err(Problem::internal)?;
        // The permit goes with the work: a client that hangs up does not make room for another hash.
        let outcome = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        });
        outcome.await.map_err(Problem::internal)
    }
}

fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}

fn verify(password: &[u8], expected: &str) -> bool {
    match PasswordHash::new(expected) {
        Ok(expected) => Argon2::default().verify_password(password, &expected).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a stored password hash does not parse");
            false
        }
    }
}
