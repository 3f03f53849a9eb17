//! The OpenAPI document and the page to try it.

use std::collections::BTreeSet;

use crate::support::with_api;

/// What the api promises. A route that is added is added here too.
const ROUTES: [&str; 19] = [
    "DELETE /api/meetups/{id}",
    "DELETE /api/meetups/{id}/members/me",
    "GET /.well-known/jwks.json",
    "GET /api/categories",
    "GET /api/config",
    "GET /api/me",
    "GET /api/me/meetups",
    "GET /api/meetups",
    "GET /api/meetups/{id}",
    "GET /api/meetups/{id}/members",
    "GET /livez",
    "GET /readyz",
    "POST /api/auth/codes",
    "POST /api/auth/log-in",
    "POST /api/auth/log-out",
    "POST /api/auth/refresh",
    "POST /api/auth/sign-up",
    "POST /api/meetups",
    "POST /api/meetups/{id}/members",
];

#[tokio::test]
async fn the_document_lists_every_route() {
    with_api(async |api| {
        let document = api.get("/api/openapi.json", "").await.json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut routes = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                routes.insert(format!("{} {path}", method.to_uppercase()));
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
            }
        }
        assert_eq!(routes, ROUTES.into_iter().map(String::from).collect());
    })
    .await;
}

/// Every `$ref` leads somewhere.
#[tokio::test]
async fn the_document_is_whole() {
    with_api(async |api| {
        let text = api.get("/api/openapi.json", "").await.text;
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        let mut count = 0;
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
            count += 1;
        }
        assert!(count > 20, "{count}");
        assert!(document["components"]["securitySchemes"]["accessToken"].is_object());
    })
    .await;
}

#[tokio::test]
async fn swagger_ui_needs_nothing_but_us() {
    with_api(async |api| {
        let page = api.get("/api/docs", "").await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
        assert!(!page.text.contains("https://"), "{page:?}");
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
        let initializer = api.get("/api/docs/swagger-initializer.js", "").await;
        assert!(initializer.text.contains("/api/openapi.json"), "{initializer:?}");
        let bundle = api.get("/api/docs/swagger-ui-bundle.js", "").await;
        assert!(bundle.status == 200 && bundle.text.len() > 100_000);
        api.get("/api/docs/nothing.js", "").await.problem(404, "not-found");
    })
    .await;
}
