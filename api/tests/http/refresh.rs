//! Refresh tokens: used once.

use shared::event::MeetupEvent;

use crate::support::{TestApi, with_api};

async fn refresh(api: &TestApi, cookie: &str) -> crate::support::Answer {
    api.post_with_cookie("/api/auth/refresh", cookie).await
}

/// As if everything had happened a minute earlier.
async fn a_minute_passes(api: &TestApi) {
    api.sql(
        "update refresh_tokens set created_at = created_at - interval '1 minute',
             used_at = used_at - interval '1 minute'",
    )
    .await;
}

#[tokio::test]
async fn a_refresh_hands_out_the_next_token() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let first = refresh(api, &kim.cookie).await;
        assert_eq!(first.status, 200, "{first:?}");
        assert_ne!(first.cookie(), kim.cookie);
        assert_eq!(first.json()["user"]["id"], kim.id);
        let second = refresh(api, &first.cookie()).await;
        assert_eq!(second.status, 200);
        // The access token before is good until it ends: the session is the same.
        assert_eq!(api.get("/api/me", &kim.token).await.status, 200);
        assert_eq!(api.get("/api/me", second.json()["accessToken"].as_str().unwrap()).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_that_comes_again_later_ends_its_session() {
    with_api(async |api| {
        let mut events = api.events();
        let kim = api.person("kim").await;
        let next = refresh(api, &kim.cookie).await.cookie();
        a_minute_passes(api).await;
        let reused = refresh(api, &kim.cookie).await;
        reused.problem(401, "unauthenticated");
        assert_eq!(reused.cookie(), "");
        assert!(
            matches!(events.next().await, MeetupEvent::SessionRevoked { user, .. } if user.get() == kim.id)
        );
        // Nor does the thief's, or the owner's, successor work any more.
        refresh(api, &next).await.problem(401, "unauthenticated");
        api.get("/api/me", &kim.token).await.problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_comes_again_after_its_successor_was_used_ends_its_session_at_once() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let first = refresh(api, &kim.cookie).await.cookie();
        let second = refresh(api, &first).await.cookie();
        refresh(api, &kim.cookie).await.problem(401, "unauthenticated");
        refresh(api, &second).await.problem(401, "unauthenticated");
    })
    .await;
}

/// The first answer never reached the browser: it still has the old cookie.
#[tokio::test]
async fn a_page_reloaded_twice_quickly_stays_signed_in() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        assert_eq!(refresh(api, &kim.cookie).await.status, 200);
        let again = refresh(api, &kim.cookie).await;
        assert_eq!(again.status, 200, "{again:?}");
        a_minute_passes(api).await;
        assert_eq!(refresh(api, &again.cookie()).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_both_stay_signed_in() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let (one, other) = tokio::join!(refresh(api, &kim.cookie), refresh(api, &kim.cookie));
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
        assert_ne!(one.cookie(), other.cookie());
        // Whichever answer the browser read last is the cookie it has now.
        a_minute_passes(api).await;
        let last = refresh(api, &other.cookie()).await;
        assert_eq!(last.status, 200);
        assert_eq!(refresh(api, &last.cookie()).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn an_expired_unknown_or_missing_token_is_refused() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        api.sql("update refresh_tokens set expires_at = now()").await;
        refresh(api, &kim.cookie).await.problem(401, "unauthenticated");
        refresh(api, "AAAA").await.problem(401, "unauthenticated");
        let none = api.call(reqwest::Method::POST, "/api/auth/refresh", "", None).await;
        none.problem(401, "unauthenticated");
        // None of this is a theft: the session lives.
        assert_eq!(api.get("/api/me", &kim.token).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_are_stored_hashed() {
    with_api(async |api| {
        use sha2::Digest as _;
        let kim = api.person("kim").await;
        // 32 bytes in base64url.
        assert_eq!(kim.cookie.len(), 43);
        let stored: Vec<u8> =
            sqlx::query_scalar("select hash from refresh_tokens").fetch_one(&api.pool).await.unwrap();
        assert_eq!(stored, sha2::Sha256::digest(&kim.cookie).to_vec());
    })
    .await;
}
