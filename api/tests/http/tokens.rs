//! Access tokens: ours and others.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use shared::{
    SessionId, UserId, signing,
    token::{Claims, Role},
};

use crate::support::{TestApi, with_api};

async fn claims(api: &TestApi, lifetime: Duration) -> Claims {
    api.person("kim").await;
    let (user, session): (UserId, SessionId) =
        sqlx::query_as("select user_id, id from sessions").fetch_one(&api.pool).await.unwrap();
    Claims::new(user, session, Role::User, lifetime)
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_token_of_ours_is_taken() {
    with_api(async |api| {
        let claims = claims(api, HOUR).await;
        let token = signing::signer(&api.pool).await.unwrap().sign(&claims).unwrap();
        assert_eq!(api.get("/api/me", &token).await.status, 200);
        // A scheme's name has no case.
        let request =
            api.http.get(format!("{}/api/me", api.base)).header("authorization", format!("bearer {token}"));
        assert_eq!(crate::support::Answer::of(request).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    with_api(async |api| {
        let claims = claims(api, HOUR).await;
        let key = signing::public_keys(&api.pool).await.unwrap().remove(0);

        // HS256 with the public key as its secret.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.kid.clone());
        let secret = EncodingKey::from_secret(&key.public_key);
        let hs256 = jsonwebtoken::encode(&header, &claims, &secret).unwrap();

        // No algorithm, no signature.
        let encode = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let payload = encode(serde_json::to_value(&claims).unwrap());
        let none = format!("{}.{payload}.", encode(json!({"alg": "none", "typ": "JWT", "kid": key.kid})));

        // Ours, with another payload under its signature.
        let good = signing::signer(&api.pool).await.unwrap().sign(&claims).unwrap();
        let (header, rest) = good.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let admin = Claims { role: Role::Admin, ..claims.clone() };
        let altered = format!("{header}.{}.{signature}", encode(serde_json::to_value(&admin).unwrap()));

        // Somebody else's key under our key's name.
        let other = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let der = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_der(&other).unwrap();
        let foreign = shared::token::Signer::new(key.kid, der.as_bytes()).sign(&claims).unwrap();

        // For somebody else's service.
        let elsewhere = Claims { aud: "elsewhere".into(), ..claims.clone() };
        let elsewhere = signing::signer(&api.pool).await.unwrap().sign(&elsewhere).unwrap();

        for forged in [&hs256, &none, &altered, &foreign, &elsewhere, "nonsense", "a.b.c"] {
            let answer = api.get("/api/me", forged).await;
            answer.problem(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    })
    .await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    with_api(async |api| {
        let mut claims = claims(api, HOUR).await;
        claims.exp = claims.iat - 1;
        let token = signing::signer(&api.pool).await.unwrap().sign(&claims).unwrap();
        let problem = api.get("/api/me", &token).await.problem(401, "unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains("expired"), "{problem}");
    })
    .await;
}

#[tokio::test]
async fn a_token_of_a_revoked_session_or_a_withdrawn_person_is_refused() {
    with_api(async |api| {
        let (kim, lee) = (api.person("kim").await, api.person("lee").await);
        api.sql("update sessions set revoked_at = now() where user_id = (select id from users where nickname = 'kim')").await;
        api.sql("update users set withdrawn_at = now() where nickname = 'lee'").await;
        api.get("/api/me", &kim.token).await.problem(401, "unauthenticated");
        api.get("/api/me", &lee.token).await.problem(401, "unauthenticated");
        // Where nobody needs to be signed in, a bad token is refused all the same.
        api.get("/api/meetups/1", &kim.token).await.problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn not_signed_in_and_not_enough_are_different_answers() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let body = json!({"kind": "club", "title": "모임", "category": "hobby", "capacity": 5});
        let create = |token: String| {
            let body = Some(body.clone());
            async move { api.call(reqwest::Method::POST, "/api/meetups", &token, body).await }
        };
        create(String::new()).await.problem(401, "unauthenticated");
        // The role is the database's, whatever the token says.
        api.sql("update users set role = 'GUEST'").await;
        create(kim.token.clone()).await.problem(403, "profile-incomplete");
        assert_eq!(api.get("/api/me", &kim.token).await.json()["role"], "GUEST");
    })
    .await;
}

#[tokio::test]
async fn the_key_set_verifies_our_tokens() {
    with_api(async |api| {
        let kim = api.person("kim").await;
        let set = api.get("/.well-known/jwks.json", "").await.json();
        let key = &set["keys"][0];
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"]),
            (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
        );
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(set).unwrap();
        let kid = jsonwebtoken::decode_header(&kim.token).unwrap().kid.unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["moyiza"]);
        let claims = jsonwebtoken::decode::<serde_json::Value>(&kim.token, &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], kim.id.to_string());
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    })
    .await;
}
