//! An api of one's own.

use std::{panic::AssertUnwindSafe, time::Duration};

use api::{EventSink, Running, Settings};
use clap::Parser;
use futures_util::FutureExt as _;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use shared::{
    config::{ApiSettings, CommonSettings},
    event::{self, Delivery, MeetupEvent},
    testing::{server, with_database},
};
use sqlx::PgPool;
use tokio::sync::mpsc;

/// Longer than anything here takes, however busy the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running api, its database and what it announced.
pub(crate) struct TestApi {
    running: Option<Running>,
    pub(crate) base: String,
    pub(crate) pool: PgPool,
    pub(crate) http: reqwest::Client,
    /// What the relay delivered. A test that wants to see events takes it.
    pub(crate) deliveries: parking_lot::Mutex<Option<mpsc::Receiver<Delivery>>>,
}

/// What an api answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

/// Somebody who signed up.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) cookie: String,
}

pub(crate) const PASSWORD: &str = "correct horse battery";

#[derive(Parser)]
#[command(args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    common: CommonSettings,
}

/// Settings as the command line gives them, on a free port.
pub(crate) fn settings(arguments: &[&str]) -> Settings {
    let first = ["api", "--api-addr", "127.0.0.1:0"];
    let Arguments { api, common } = Arguments::parse_from(first.iter().chain(arguments));
    Settings { api, common }
}

/// Runs `test` with an api in development mode, and cleans up however it ends.
pub(crate) async fn with_api(test: impl AsyncFnOnce(&TestApi)) {
    with_api_as(&["--development"], test).await;
}

/// Runs `test` with an api that is configured like this.
pub(crate) async fn with_api_as(arguments: &[&str], test: impl AsyncFnOnce(&TestApi)) {
    let settings = settings(arguments);
    with_database(async |pool, _| {
        let (sink, deliveries) = event::local_channel();
        let running =
            api::start(settings, pool.clone(), EventSink::Local(sink)).await.expect("an api starts");
        let mut api = TestApi {
            base: format!("http://{}", running.addr()),
            running: Some(running),
            pool: pool.clone(),
            http: reqwest::Client::new(),
            deliveries: parking_lot::Mutex::new(Some(deliveries)),
        };
        let outcome = AssertUnwindSafe(test(&api)).catch_unwind().await;
        api.running.take().expect("it runs until here").stop().await;
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    })
    .await;
}

/// The Kafka of the tests.
pub(crate) fn brokers() -> String {
    server("MOYIZA_TEST_KAFKA_BROKERS")
}

impl TestApi {
    /// A request, with an access token unless it is empty.
    pub(crate) async fn call(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, token, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, "", Some(body)).await
    }

    /// One of the routes that the refresh cookie goes to.
    pub(crate) async fn post_with_cookie(&self, path: &str, cookie: &str) -> Answer {
        let cookie = format!("moyiza_refresh={cookie}");
        Answer::of(self.http.post(format!("{}{path}", self.base)).header(header::COOKIE, cookie)).await
    }

    /// Asks for a code and reads it from the mailbox.
    pub(crate) async fn code_for(&self, email: &str) -> String {
        let asked = self.post("/api/auth/codes", json!({"email": email, "purpose": "sign-up"})).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        let mails = self.get(&format!("/dev/mailbox?to={email}"), "").await.json();
        let body = mails[0]["body"].as_str().expect("a mail arrived");
        let digits = body.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 6);
        digits.expect("the mail has six digits").to_owned()
    }

    /// Signs up with a fresh code.
    pub(crate) async fn sign_up(&self, email: &str, nickname: &str) -> Answer {
        let code = self.code_for(email).await;
        let body = json!({"email": email, "code": code, "password": PASSWORD, "nickname": nickname});
        self.post("/api/auth/sign-up", body).await
    }

    /// Somebody new.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        let answer = self.sign_up(&email, name).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let session = answer.json();
        Person {
            id: session["user"]["id"].as_i64().expect("an id"),
            token: session["accessToken"].as_str().expect("a token").to_owned(),
            cookie: answer.cookie(),
            email,
        }
    }

    /// A club of somebody's.
    pub(crate) async fn club(&self, owner: &str, capacity: u32) -> i64 {
        let body = json!({
            "kind": "club", "title": "보드게임 모임", "content": "주말 저녁", "category": "hobby",
            "capacity": capacity,
        });
        let answer = self.call(Method::POST, "/api/meetups", owner, Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_i64().expect("an id")
    }

    pub(crate) async fn join(&self, meetup: i64, token: &str) -> Answer {
        self.call(Method::POST, &format!("/api/meetups/{meetup}/members"), token, None).await
    }

    pub(crate) async fn leave(&self, meetup: i64, token: &str) -> Answer {
        self.call(Method::DELETE, &format!("/api/meetups/{meetup}/members/me"), token, None).await
    }

    /// Runs a statement in the api's database.
    pub(crate) async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(&self.pool).await.expect("the statement works");
    }

    /// What the relay delivers from now on.
    pub(crate) fn events(&self) -> Events {
        Events(self.deliveries.lock().take().expect("taken once"))
    }
}

/// What the relay delivers.
pub(crate) struct Events(pub(crate) mpsc::Receiver<Delivery>);

impl Events {
    /// The next delivery, unanswered.
    pub(crate) async fn delivery(&mut self) -> Delivery {
        tokio::time::timeout(PATIENCE, self.0.recv()).await.expect("an event in time").expect("a relay")
    }

    /// The next event, taken as done.
    pub(crate) async fn next(&mut self) -> MeetupEvent {
        let delivery = self.delivery().await;
        delivery.done.send(()).expect("the relay waits");
        delivery.envelope.event
    }
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.timeout(PATIENCE).send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a whole answer") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The refresh token that the answer sets; empty if it takes it away.
    pub(crate) fn cookie(&self) -> String {
        let cookie = self.header("set-cookie");
        let (pair, _) = cookie.split_once(';').expect("a cookie with attributes");
        pair.strip_prefix("moyiza_refresh=").expect("the refresh cookie").to_owned()
    }

    /// Asserts problem details with this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["type"].is_string() && problem["title"].is_string() && problem["detail"].is_string());
        problem
    }

    /// Asserts a problem that names this one field.
    #[track_caller]
    pub(crate) fn field_problem(&self, status: u16, field: &str, code: &str) {
        let problem = self.problem(status, if status == 409 { "taken" } else { "invalid" });
        let errors = problem["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "{problem}");
        assert_eq!((&errors[0]["field"], &errors[0]["code"]), (&json!(field), &json!(code)), "{problem}");
        assert!(errors[0]["message"].is_string());
    }
}
