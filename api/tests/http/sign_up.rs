//! Opening an account.

use serde_json::json;

use crate::support::{PASSWORD, with_api};

#[tokio::test]
async fn signing_up_signs_in() {
    with_api(async |api| {
        let answer = api.sign_up("mina@example.com", "민아").await;
        assert_eq!(answer.status, 201);
        let session = answer.json();
        assert_eq!(session["expiresInSeconds"], 900);
        let user = json!({
            "id": session["user"]["id"], "nickname": "민아", "email": "mina@example.com",
            "role": "USER", "locale": "ko",
        });
        assert_eq!(session["user"], user);
        let cookie = answer.header("set-cookie");
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api/auth", "Max-Age=2592000"] {
            assert!(cookie.contains(attribute), "{attribute}: {cookie}");
        }
        assert!(!cookie.contains("Secure"), "{cookie}");
        let token = session["accessToken"].as_str().unwrap();
        assert_eq!(api.get("/api/me", token).await.json(), user);
    })
    .await;
}

#[tokio::test]
async fn cookies_are_secure_where_the_page_is() {
    crate::support::with_api_as(&["--development", "--secure-cookies"], async |api| {
        let answer = api.sign_up("mina@example.com", "민아").await;
        assert!(answer.header("set-cookie").contains("; Secure"));
        assert!(api.get("/api/config", "").await.json()["engineUrl"].as_str().unwrap().starts_with("wss://"));
    })
    .await;
}

#[tokio::test]
async fn what_is_taken_is_named_and_costs_no_code() {
    with_api(async |api| {
        api.person("kim").await;
        api.sign_up("KIM@example.com", "other").await.field_problem(409, "email", "taken");
        api.sign_up("lee@example.com", "KIM").await.field_problem(409, "nickname", "taken");

        // The same code again, with another nickname.
        let code = api.code_for("lee@example.com").await;
        let sign_up = |nickname: &'static str| {
            let body =
                json!({"email": "lee@example.com", "code": code, "password": PASSWORD, "nickname": nickname});
            api.post("/api/auth/sign-up", body)
        };
        for _ in 0..6 {
            sign_up("kim").await.field_problem(409, "nickname", "taken");
        }
        assert_eq!(sign_up("lee").await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn of_many_sign_ups_with_one_code_one_wins() {
    with_api(async |api| {
        let code = api.code_for("a@example.com").await;
        let sign_up = |n: usize| {
            let nickname = format!("사람{n}");
            let body =
                json!({"email": "a@example.com", "code": code, "password": PASSWORD, "nickname": nickname});
            api.post("/api/auth/sign-up", body)
        };
        let answers = futures_util::future::join_all((0..12).map(sign_up)).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&api.pool).await.unwrap();
        assert_eq!(users, 1);
    })
    .await;
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    with_api(async |api| {
        let body = json!({"email": "x", "code": "12", "password": "short", "nickname": "가", "locale": "fr"});
        let problem = api.post("/api/auth/sign-up", body).await.problem(422, "invalid");
        let errors = problem["errors"].as_array().unwrap();
        let errors: Vec<_> = errors.iter().map(|e| (e["field"].as_str(), e["code"].as_str())).collect();
        let expected = [
            ("email", "format"),
            ("code", "format"),
            ("password", "too-short"),
            ("nickname", "too-short"),
            ("locale", "unknown"),
        ];
        assert_eq!(errors, expected.map(|(field, code)| (Some(field), Some(code))));
    })
    .await;
}

#[tokio::test]
async fn a_password_has_8_to_64_characters() {
    with_api(async |api| {
        let code = api.code_for("a@example.com").await;
        let sign_up = |password: String| {
            let body =
                json!({"email": "a@example.com", "code": code, "password": password, "nickname": "누군가"});
            api.post("/api/auth/sign-up", body)
        };
        sign_up(String::new()).await.field_problem(422, "password", "required");
        sign_up("1234567".into()).await.field_problem(422, "password", "too-short");
        sign_up("a".repeat(65)).await.field_problem(422, "password", "too-long");
        // Characters, not bytes.
        assert_eq!(sign_up("가".repeat(64)).await.status, 201);
    })
    .await;
}

#[tokio::test]
async fn passwords_are_stored_as_argon2id() {
    with_api(async |api| {
        api.person("kim").await;
        let hash: String =
            sqlx::query_scalar("select password_hash from users").fetch_one(&api.pool).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    })
    .await;
}
