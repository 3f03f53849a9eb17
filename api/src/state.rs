//! What every handler can reach.

use shared::{
    signing,
    token::{Signer, Verifier},
};
use sqlx::PgPool;

use crate::{Settings, account::hashing::Hashing};

/// One node's state, shared by its worker threads.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) database: PgPool,
    pub(crate) signer: Signer,
    /// Every node starts by making sure that there is a key, so the set read here is whole.
    pub(crate) verifier: Verifier,
    pub(crate) hashing: Hashing,
}

impl State {
    pub(crate) async fn new(settings: Settings, database: PgPool) -> anyhow::Result<Self> {
        let signer = signing::signer(&database).await?;
        let verifier = signing::verifier(&database).await?;
        let hashing = Hashing::new().await?;
        Ok(Self { settings, database, signer, verifier, hashing })
    }
}
