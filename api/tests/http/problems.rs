//! Whatever goes wrong is told in one form.

use reqwest::{Method, header};
use serde_json::json;

use crate::support::{Answer, TestApi, with_api};

async fn post_text(api: &TestApi, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = api.http.post(format!("{}/api/auth/log-in", api.base));
    Answer::of(request.header(header::CONTENT_TYPE, content_type).body(body)).await
}

#[tokio::test]
async fn a_body_that_is_not_the_expected_json_is_a_problem() {
    with_api(async |api| {
        for body in ["", "{", "{\"email\": ", "[1]", "7", "{} {}", "\u{feff}{}"] {
            post_text(api, "application/json", body).await.problem(400, "malformed");
        }
        // The right type can have parameters.
        let with_charset = post_text(api, "application/json; charset=utf-8", "{}").await;
        with_charset.problem(422, "invalid");
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            post_text(api, content_type, "{}").await.problem(415, "unsupported-media-type");
        }
        let invalid_utf8 = post_text(api, "application/json", b"{\"email\": \"\xff\"}".to_vec()).await;
        assert!(invalid_utf8.status.is_client_error());
        assert_eq!(invalid_utf8.header("content-type"), "application/problem+json");
        post_text(api, "application/json", format!("\"{}\"", "a".repeat(200_000)))
            .await
            .problem(413, "too-large");
    })
    .await;
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named() {
    with_api(async |api| {
        let answer = api.post("/api/auth/log-in", json!({"email": 7, "password": "x"})).await;
        answer.field_problem(422, "email", "type");
        let null = api.post("/api/auth/log-in", json!({"email": "a@b.kr", "password": null})).await;
        null.field_problem(422, "password", "type");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_not_there_is_a_problem() {
    with_api(async |api| {
        for path in [
            "/api/nothing",
            "/api",
            "/api/meetups/abc",
            "/api/meetups/0",
            "/api/meetups/-1",
            "/api/meetups/99999999999999999999",
            "/api/meetups/1",
            "/.well-known/nothing",
            "/dev/nothing",
        ] {
            api.get(path, "").await.problem(404, "not-found");
        }
    })
    .await;
}

#[tokio::test]
async fn a_method_that_is_not_there_is_a_problem_that_names_those_that_are() {
    with_api(async |api| {
        for (method, path, allowed) in [
            (Method::GET, "/api/auth/log-in", "POST"),
            (Method::PUT, "/api/meetups", "GET, POST"),
            (Method::DELETE, "/api/meetups/1/members", "GET, POST"),
            (Method::POST, "/livez", "GET"),
            (Method::POST, "/somewhere", "GET, HEAD"),
        ] {
            let answer = api.call(method, path, "", None).await;
            answer.problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), allowed);
        }
    })
    .await;
}

#[tokio::test]
async fn nul_is_refused_wherever_it_comes_in() {
    with_api(async |api| {
        api.get("/dev/mailbox?to=a%00b", "").await.problem(400, "malformed");
        let body = json!({"email": "a\0@example.com", "password": "a\0"});
        api.post("/api/auth/log-in", body).await.field_problem(422, "email", "format");
        api.get("/api/meetups?kind=%00", "").await.field_problem(422, "kind", "unknown");
        api.get("/api/meetups/%00", "").await.problem(404, "not-found");
    })
    .await;
}

#[tokio::test]
async fn our_own_faults_are_hidden() {
    with_api(async |api| {
        api.sql("alter table dev_mailbox rename to secret_table").await;
        let answer =
            api.post("/api/auth/codes", json!({"email": "a@example.com", "purpose": "sign-up"})).await;
        answer.problem(500, "internal");
        assert!(!answer.text.contains("dev_mailbox") && !answer.text.contains("relation"), "{answer:?}");
        // Nothing is left half done.
        let codes: i64 =
            sqlx::query_scalar("select count(*) from verification_codes").fetch_one(&api.pool).await.unwrap();
        assert_eq!(codes, 0);
    })
    .await;
}

#[tokio::test]
async fn answers_are_not_cached_sniffed_or_framed() {
    with_api(async |api| {
        for path in ["/api/me", "/api/meetups", "/api/nothing"] {
            let answer = api.get(path, "").await;
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("x-frame-options"), "DENY");
        }
    })
    .await;
}
