//! Logging in and out.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use shared::event::MeetupEvent;

use crate::support::{PASSWORD, with_api};

#[tokio::test]
async fn the_right_password_logs_in() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        // However the address is cased.
        let answer =
            api.post("/api/auth/log-in", json!({"email": "Kim@Example.com", "password": PASSWORD})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["user"]["id"], kim.id);
        assert_ne!(answer.cookie(), kim.cookie);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_address_look_the_same() {
    with_api(async |api| {
        api.person("kim").await;
        let log_in =
            |email: &str| api.post("/api/auth/log-in", json!({"email": email, "password": "wrong one"}));
        let wrong_password = log_in("kim@example.com").await;
        wrong_password.problem(401, "wrong-credentials");
        let nobody = log_in("nobody@example.com").await;
        assert_eq!((nobody.status, nobody.text), (wrong_password.status, wrong_password.text));
    })
    .await;
}

/// Medians of interleaved runs, compared generously: leaving the hash out would be a factor of ten or more.
#[tokio::test]
async fn a_wrong_password_and_a_wrong_address_take_the_same_time() {
    with_api(async |api| {
        api.person("kim").await;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..7 {
            for (email, times) in ["kim@example.com", "nobody@example.com"].iter().zip(&mut times) {
                let began = Instant::now();
                api.post("/api/auth/log-in", json!({"email": email, "password": "wrong one"})).await;
                times.push(began.elapsed());
            }
        }
        let [known, unknown] = times.map(|mut times: Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        let ratio = known.as_secs_f64() / unknown.as_secs_f64();
        assert!((0.3..3.3).contains(&ratio), "{known:?} {unknown:?}");
    })
    .await;
}

#[tokio::test]
async fn logging_out_ends_the_session_and_tells_the_engines() {
    with_api(async |api| {
        let mut events = api.events();
        let kim = api.person("kim").await;
        let out = api.post_with_cookie("/api/auth/log-out", &kim.cookie).await;
        assert_eq!(out.status, 204);
        assert_eq!(out.cookie(), "");
        assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
        assert!(out.header("set-cookie").contains("Path=/api/auth"), "{out:?}");

        let MeetupEvent::SessionRevoked { user, .. } = events.next().await else { panic!("another event") };
        assert_eq!(user.get(), kim.id);
        api.get("/api/me", &kim.token).await.problem(401, "unauthenticated");
        api.post_with_cookie("/api/auth/refresh", &kim.cookie).await.problem(401, "unauthenticated");
        // Again: signed out already, and nothing more to tell.
        assert_eq!(api.post_with_cookie("/api/auth/log-out", &kim.cookie).await.status, 204);
        let waiting: i64 =
            sqlx::query_scalar("select count(*) from outbox").fetch_one(&api.pool).await.unwrap();
        assert_eq!(waiting, 0);
    })
    .await;
}

#[tokio::test]
async fn logging_out_works_with_the_access_token_too_and_with_nothing() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let other = api.post("/api/auth/log-in", json!({"email": kim.email, "password": PASSWORD})).await;
        assert_eq!(api.call(Method::POST, "/api/auth/log-out", &kim.token, None).await.status, 204);
        api.get("/api/me", &kim.token).await.problem(401, "unauthenticated");
        // Only this device's.
        assert_eq!(api.get("/api/me", other.json()["accessToken"].as_str().unwrap()).await.status, 200);
        assert_eq!(api.call(Method::POST, "/api/auth/log-out", "", None).await.status, 204);
        assert_eq!(api.call(Method::POST, "/api/auth/log-out", "nonsense", None).await.status, 204);
    })
    .await;
}
