//! Verification codes: five tries, five minutes, one address.

use serde_json::json;

use crate::support::{PASSWORD, TestApi, with_api, with_api_as};

async fn sign_up_with(api: &TestApi, email: &str, code: &str) -> crate::support::Answer {
    let body = json!({"email": email, "code": code, "password": PASSWORD, "nickname": "누군가"});
    api.post("/api/auth/sign-up", body).await
}

/// A code that is not this one.
fn other(code: &str) -> &'static str {
    if code == "111111" { "222222" } else { "111111" }
}

#[tokio::test]
async fn a_code_is_good_once() {
    with_api(async |api| {
        let code = api.code_for("a@example.com").await;
        assert_eq!(sign_up_with(api, "a@example.com", &code).await.status, 201);
        sign_up_with(api, "a@example.com", &code).await.field_problem(422, "code", "expired");
    })
    .await;
}

#[tokio::test]
async fn five_wrong_guesses_end_a_code() {
    with_api(async |api| {
        let code = api.code_for("a@example.com").await;
        for _ in 0..4 {
            sign_up_with(api, "a@example.com", other(&code)).await.field_problem(422, "code", "wrong");
        }
        sign_up_with(api, "a@example.com", other(&code)).await.field_problem(422, "code", "exhausted");
        sign_up_with(api, "a@example.com", &code).await.field_problem(422, "code", "expired");
        // A new one starts over.
        let code = api.code_for("a@example.com").await;
        assert_eq!(sign_up_with(api, "a@example.com", &code).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn guessing_on_many_connections_at_once_gives_no_more_tries() {
    with_api(async |api| {
        let code = api.code_for("a@example.com").await;
        let guesses = (0..40).map(|_| sign_up_with(api, "a@example.com", other(&code)));
        let answers = futures_util::future::join_all(guesses).await;
        let told_wrong = answers.iter().filter(|answer| {
            let code = &answer.json()["errors"][0]["code"];
            code == "wrong" || code == "exhausted"
        });
        assert_eq!(told_wrong.count(), 5);
        sign_up_with(api, "a@example.com", &code).await.field_problem(422, "code", "expired");
    })
    .await;
}

#[tokio::test]
async fn a_code_is_good_for_five_minutes() {
    with_api(async |api| {
        let asked =
            api.post("/api/auth/codes", json!({"email": "a@example.com", "purpose": "sign-up"})).await;
        assert_eq!(asked.json()["expiresInSeconds"], 300);
        let code = api.code_for("a@example.com").await;
        let left: f64 = sqlx::query_scalar(
            "select extract(epoch from expires_at - now())::float8 from verification_codes",
        )
        .fetch_one(&api.pool)
        .await
        .unwrap();
        assert!((200.0..=300.0).contains(&left), "{left}");
        api.sql("update verification_codes set expires_at = now()").await;
        sign_up_with(api, "a@example.com", &code).await.field_problem(422, "code", "expired");
    })
    .await;
}

#[tokio::test]
async fn asking_again_replaces_a_code() {
    with_api(async |api| {
        let first = api.code_for("a@example.com").await;
        // One time in a million the second is the same.
        let mut second = api.code_for("a@example.com").await;
        while second == first {
            second = api.code_for("a@example.com").await;
        }
        sign_up_with(api, "a@example.com", &first).await.field_problem(422, "code", "wrong");
        assert_eq!(sign_up_with(api, "a@example.com", &second).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn a_code_is_good_for_its_own_address_only() {
    with_api(async |api| {
        let code = api.code_for("a@example.com").await;
        sign_up_with(api, "b@example.com", &code).await.field_problem(422, "code", "expired");
        let of_b = api.code_for("b@example.com").await;
        if of_b != code {
            sign_up_with(api, "b@example.com", &code).await.field_problem(422, "code", "wrong");
        }
        // An address is the same however its letters are cased.
        assert_eq!(sign_up_with(api, "A@Example.COM", &code).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn codes_are_stored_hashed() {
    with_api(async |api| {
        let code = api.code_for("a@example.com").await;
        let stored: Vec<u8> = sqlx::query_scalar("select code_hash from verification_codes")
            .fetch_one(&api.pool)
            .await
            .unwrap();
        assert_eq!(stored.len(), 32);
        assert!(!stored.windows(6).any(|window| window == code.as_bytes()));
    })
    .await;
}

#[tokio::test]
async fn a_request_for_a_code_names_its_bad_fields() {
    with_api(async |api| {
        let ask = |email: &str, purpose: &str| {
            api.post("/api/auth/codes", json!({"email": email, "purpose": purpose}))
        };
        ask("nobody", "sign-up").await.field_problem(422, "email", "format");
        ask("a@example.com", "other").await.field_problem(422, "purpose", "unknown");
        let both = api.post("/api/auth/codes", json!({})).await.problem(422, "invalid");
        assert_eq!(both["errors"].as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn without_development_mode_there_is_no_mail_and_no_mailbox() {
    with_api_as(&["--development=false"], async |api| {
        let asked =
            api.post("/api/auth/codes", json!({"email": "a@example.com", "purpose": "sign-up"})).await;
        asked.problem(503, "mail-not-configured");
        api.get("/dev/mailbox", "").await.problem(404, "not-found");
    })
    .await;
}
