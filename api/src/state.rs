//! What every handler can reach.

use sqlx::PgPool;

use crate::Settings;

/// One node's state, shared by its worker threads.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) database: PgPool,
}

impl State {
    pub(crate) async fn new(settings: Settings, database: PgPool) -> anyhow::Result<Self> {
        Ok(Self { settings, database })
    }
}
