//! People with accounts and sessions.

use std::time::Duration;

use shared::{
    signing, testing,
    token::{Claims, Role},
};
use sqlx::PgPool;

/// What a token of somebody new says, their session being open.
pub(crate) async fn sign_up(pool: &PgPool) -> Claims {
    let user = sqlx::query_scalar(
        "insert into users (email, email_verified_at, nickname) values ($1 || '@example.com', now(), $1) returning id",
    )
    .bind(testing::unique("p"))
    .fetch_one(pool)
    .await
    .expect("an account");
    let session = sqlx::query_scalar("insert into sessions (user_id) values ($1) returning id")
        .bind(user)
        .fetch_one(pool)
        .await
        .expect("a session");
    Claims::new(user, session, Role::User, Duration::from_mins(5))
}

/// The access token that says this.
pub(crate) async fn sign(pool: &PgPool, claims: &Claims) -> String {
    signing::signer(pool).await.expect("a key").sign(claims).expect("a token")
}
