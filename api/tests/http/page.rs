//! The web page and what it asks first.

use reqwest::header;

use crate::support::{Answer, with_api, with_api_as};

/// Built or not, the page's addresses answer with a page.
#[tokio::test]
async fn every_address_of_the_page_is_the_page() {
    with_api(async |api| {
        let index = api.get("/", "").await;
        for path in ["/", "/meetups/7", "/sign-up?next=/meetups/7"] {
            let page = api.get(path, "").await;
            assert_eq!((page.status, &page.text), (index.status, &index.text), "{path}");
            assert!(page.status == 200 || page.text.contains("is not built"), "{page:?}");
            assert!(page.header("content-type").starts_with("text/html"));
            assert_eq!(page.header("cache-control"), "no-cache");
        }
        // A file of an earlier build is gone, and is not the page.
        api.get("/assets/index-00000000.js", "").await.problem(404, "not-found");
    })
    .await;
}

#[tokio::test]
async fn the_pages_policy_lets_it_talk_to_the_engine_alone() {
    with_api_as(&["--engine-url", "ws://chat.example:9000/ws"], async |api| {
        let page = api.get("/", "").await;
        let policy = page.header("content-security-policy");
        let connect = policy.split("; ").find(|directive| directive.starts_with("connect-src")).unwrap();
        assert_eq!(connect, "connect-src 'self' ws://chat.example:9000 http://chat.example:9000");
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(api.get("/api/config", "").await.json()["engineUrl"], "ws://chat.example:9000/ws");
    })
    .await;
}

#[tokio::test]
async fn the_engine_is_on_the_pages_host_unless_said_otherwise() {
    with_api(async |api| {
        for (host, engine) in [
            ("127.0.0.1:8080", "ws://127.0.0.1:8081/ws"),
            ("moyiza.local", "ws://moyiza.local:8081/ws"),
            ("[::1]:8080", "ws://[::1]:8081/ws"),
        ] {
            let request = api.http.get(format!("{}/api/config", api.base)).header(header::HOST, host);
            assert_eq!(Answer::of(request).await.json()["engineUrl"], engine);
        }
        // Nothing gets into the policy that is not a host.
        let request = api.http.get(&api.base).header(header::HOST, "evil; script-src *");
        let answer = Answer::of(request).await;
        assert!(!answer.header("content-security-policy").contains("script-src *"), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn the_mailbox_is_a_page_and_json() {
    with_api(async |api| {
        api.code_for("a@example.com").await;
        api.code_for("b@example.com").await;
        api.sql(
            "update dev_mailbox set subject = '<script>alert(1)</script>' where recipient = 'a@example.com'",
        )
        .await;
        let page = api.get("/dev/mailbox", "").await;
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.text.contains("b@example.com") && page.text.contains("&lt;script&gt;"), "{page:?}");
        assert!(!page.text.contains("<script>"));

        let request =
            api.http.get(format!("{}/dev/mailbox", api.base)).header(header::ACCEPT, "application/json");
        let mails = Answer::of(request).await.json();
        let mails = mails.as_array().unwrap();
        assert_eq!(mails.len(), 2);
        assert_eq!(mails[0]["to"], "b@example.com");
        for field in ["subject", "body", "createdAt"] {
            assert!(mails[0][field].is_string());
        }
        let of_a = api.get("/dev/mailbox?to=A@example.com", "").await.json();
        assert_eq!(of_a.as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn health_is_told() {
    with_api(async |api| {
        assert_eq!(api.get("/livez", "").await.status, 200);
        assert_eq!(api.get("/readyz", "").await.status, 200);
        api.pool.close().await;
        assert_eq!(api.get("/livez", "").await.status, 200);
        api.get("/readyz", "").await.problem(503, "not-ready");
    })
    .await;
}
