//! Who somebody is: access tokens, and the sessions that ended before their tokens.

use std::time::{Duration, Instant};

use dashmap::DashMap;
use parking_lot::RwLock;
use shared::{
    SessionId, signing,
    token::{Claims, LONGEST_TOKEN_LIFETIME, TokenError, Verifier},
};
use sqlx::PgPool;
use tokio::sync::Mutex;

/// Between two look-ups of the key set: forged key names must not become queries.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Revocations between two looks for forgotten ones.
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
}

/// Checks access tokens without a query: the key set and the revoked sessions are here.
pub struct Access {
    pool: PgPool,
    verifier: RwLock<Verifier>,
    reloaded: Mutex<Instant>,
    /// Sessions that were revoked within the longest life of a token.
    revoked: DashMap<SessionId, Instant>,
}

impl Access {
    /// Loads the key set and the revoked sessions.
    pub async fn load(pool: PgPool) -> sqlx::Result<Self> {
        let verifier = signing::verifier(&pool).await?;
        let revoked: Vec<SessionId> =
            sqlx::query_scalar("select id from sessions where revoked_at > now() - $1 * interval '1 second'")
                .bind(LONGEST_TOKEN_LIFETIME.as_secs_f64())
                .fetch_all(&pool)
                .await?;
        Ok(Self {
            pool,
            verifier: RwLock::new(verifier),
            reloaded: Mutex::new(Instant::now()),
            revoked: revoked.into_iter().map(|session| (session, Instant::now())).collect(),
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
        if self.is_revoked(claims.sid) { Err(AccessError::Revoked) } else { Ok(claims) }
    }

    /// A session's tokens are worth nothing from now on.
    pub fn revoke(&self, session: SessionId) {
        self.revoked.insert(session, Instant::now());
        // A session whose last token has ended needs no remembering. Looked at now and then, not each time.
        if self.revoked.len().is_multiple_of(PRUNE_EVERY) {
            self.revoked.retain(|_, since| since.elapsed() < LONGEST_TOKEN_LIFETIME);
        }
    }

    /// Whether a session was signed out.
    pub fn is_revoked(&self, session: SessionId) -> bool {
        self.revoked.contains_key(&session)
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
