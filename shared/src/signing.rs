//! The key set of access tokens, as it lies in PostgreSQL.

use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use sqlx::{PgConnection, PgPool};

use crate::{
    names::locks,
    token::{Signer, Verifier},
};

/// A published key.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PublicKey {
    /// Its name in a token's header.
    pub kid: String,
    /// Ed25519, 32 bytes.
    pub public_key: Vec<u8>,
}

/// All keys whose tokens may still be alive.
pub async fn public_keys(pool: &PgPool) -> sqlx::Result<Vec<PublicKey>> {
    sqlx::query_as("select kid, public_key from signing_keys order by created_at").fetch_all(pool).await
}

/// A verifier with all published keys.
pub async fn verifier(pool: &PgPool) -> sqlx::Result<Verifier> {
    let keys = public_keys(pool).await?;
    Ok(Verifier::new(keys.into_iter().map(|key| (key.kid, key.public_key))))
}

/// A signer with the newest key; the first caller ever makes it.
pub async fn signer(pool: &PgPool) -> sqlx::Result<Signer> {
    let mut transaction = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(locks::SIGNING_KEY)
        .execute(&mut *transaction)
        .await?;
    let newest: Option<(String, Vec<u8>)> = sqlx::query_as(
        "select kid, pkcs8 from signing_secrets join signing_keys using (kid) order by created_at desc limit 1",
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let (kid, pkcs8) = if let Some(newest) = newest { newest } else { create_key(&mut transaction).await? };
    transaction.commit().await?;
    Ok(Signer::new(kid, &pkcs8))
}

/// Makes the installation's next key.
async fn create_key(connection: &mut PgConnection) -> sqlx::Result<(String, Vec<u8>)> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| sqlx::Error::Io(error.into()))?;
    let key = SigningKey::from_bytes(&seed);
    let public = key.verifying_key().to_bytes();
    let pkcs8 = key.to_pkcs8_der().map_err(|error| sqlx::Error::Encode(error.into()))?.as_bytes().to_vec();
    let kid = format!("{:016x}", u64::from_be_bytes(*public.first_chunk().unwrap_or(&[0; 8])));
    sqlx::query("insert into signing_keys (kid, public_key) values ($1, $2)")
        .bind(&kid)
        .bind(public.as_slice())
        .execute(&mut *connection)
        .await?;
    sqlx::query("insert into signing_secrets (kid, pkcs8) values ($1, $2)")
        .bind(&kid)
        .bind(&pkcs8)
        .execute(&mut *connection)
        .await?;
    Ok((kid, pkcs8))
}
