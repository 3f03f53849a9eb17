//! Who somebody is: access tokens, and the sessions that ended before their tokens.

use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use parking_lot::RwLock;
use shared::{
    SessionId, UserId, signing,
    token::{Claims, LONGEST_TOKEN_LIFETIME, TokenError, Verifier},
};
use sqlx::PgPool;
use tokio::sync::Mutex;

/// Between two look-ups of the key set: forged key names must not become queries.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Endings between two looks for those that can be forgotten.
const PRUNE_EVERY: usize = 1024;

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// CONNECT brought no token.
    #[error("CONNECT needs an access token, as `Authorization: Bearer …` or in `passcode`")]
    Missing,
    /// Not a token of ours, or no longer.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Signed out.
    #[error("the session of this access token was signed out")]
    Revoked,
    /// Gone for good.
    #[error("the account of this access token was withdrawn")]
    Withdrawn,
}

/// Checks access tokens without a query: the key set and the revoked sessions are here.
pub struct Access {
    pool: PgPool,
    verifier: RwLock<Verifier>,
    reloaded: Mutex<Instant>,
    revoked: Ended<SessionId>,
    withdrawn: Ended<UserId>,
}

/// What ended within the longest life of a token: after that no token speaks of it.
struct Ended<T>(DashMap<T, Instant>);

impl<T: Eq + Hash> Ended<T> {
    fn new(ended: impl IntoIterator<Item = T>) -> Self {
        Self(ended.into_iter().map(|it| (it, Instant::now())).collect())
    }

    fn insert(&self, it: T) {
        self.0.insert(it, Instant::now());
        // Looked at now and then, not each time.
        if self.0.len().is_multiple_of(PRUNE_EVERY) {
            self.0.retain(|_, since| since.elapsed() < LONGEST_TOKEN_LIFETIME);
        }
    }
}

impl Access {
    /// Loads the key set, and what ended before its tokens. A node that follows events does so before: what ends in
    /// between is then known twice and not never.
    pub async fn load(pool: PgPool) -> sqlx::Result<Self> {
        let verifier = signing::verifier(&pool).await?;
        let revoked: Vec<SessionId> =
            sqlx::query_scalar("select id from sessions where revoked_at > now() - $1 * interval '1 second'")
                .bind(LONGEST_TOKEN_LIFETIME.as_secs_f64())
                .fetch_all(&pool)
                .await?;
        let withdrawn: Vec<UserId> =
            sqlx::query_scalar("select id from users where withdrawn_at > now() - $1 * interval '1 second'")
                .bind(LONGEST_TOKEN_LIFETIME.as_secs_f64())
                .fetch_all(&pool)
                .await?;
        Ok(Self {
            pool,
            verifier: RwLock::new(verifier),
            reloaded: Mutex::new(Instant::now()),
            revoked: Ended::new(revoked),
            withdrawn: Ended::new(withdrawn),
        })
    }

    /// Who `token` stands for.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Claims, AccessError> {
        let token = token.ok_or(AccessError::Missing)?;
        let first = self.verifier.read().verify(token);
        let claims = match first {
            Err(TokenError::UnknownKey(_)) => {
                self.reload().await;
                self.verifier.read().verify(token)?
            }
            other => other?,
        };
        if self.is_withdrawn(claims.sub) {
            return Err(AccessError::Withdrawn);
        }
        if self.is_revoked(claims.sid) { Err(AccessError::Revoked) } else { Ok(claims) }
    }

    /// A session's tokens are worth nothing from now on.
    pub fn revoke(&self, session: SessionId) {
        self.revoked.insert(session);
    }

    /// Whether a session was signed out.
    pub fn is_revoked(&self, session: SessionId) -> bool {
        self.revoked.0.contains_key(&session)
    }

    /// A person's tokens are worth nothing from now on.
    pub fn withdraw(&self, user: UserId) {
        self.withdrawn.insert(user);
    }

    /// Whether a person has withdrawn their account.
    pub fn is_withdrawn(&self, user: UserId) -> bool {
        self.withdrawn.0.contains_key(&user)
    }

    /// Fetches the key set again, not too often. Whoever comes while it is on its way waits for it.
    async fn reload(&self) {
        let mut reloaded = self.reloaded.lock().await;
        // The first signer may make the first key after this node has started: no waiting for an empty set.
        if reloaded.elapsed() < RELOAD_INTERVAL && !self.verifier.read().is_empty() {
            return;
        }
        match signing::verifier(&self.pool).await {
            Ok(verifier) => *self.verifier.write() = verifier,
            Err(error) => tracing::warn!(%error, "the key set cannot be loaded"),
        }
        *reloaded = Instant::now();
    }
}
