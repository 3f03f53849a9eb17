//! Starting, stopping and failing to start.

use api::EventSink;
use shared::{event, testing::with_database};

use crate::support::{settings, with_api};

#[tokio::test]
async fn an_address_in_use_is_named_with_the_setting_that_moves_it() {
    with_api(async |api| {
        let taken = api.base.trim_start_matches("http://");
        let (sink, _deliveries) = event::local_channel();
        let settings = settings(&["--api-addr", taken]);
        let error = api::start(settings, api.pool.clone(), EventSink::Local(sink)).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains(taken) && text.contains("MOYIZA_API_ADDR") && text.contains("in use"),
            "{text}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_stopped_api_frees_its_address() {
    with_database(async |pool, _| {
        let (sink, _deliveries) = event::local_channel();
        let first = api::start(settings(&[]), pool.clone(), EventSink::Local(sink)).await.unwrap();
        let addr = first.addr().to_string();
        first.stop().await;
        let (sink, _deliveries) = event::local_channel();
        let again = settings(&["--api-addr", &addr]);
        api::start(again, pool.clone(), EventSink::Local(sink)).await.unwrap().stop().await;
    })
    .await;
}

/// A request that waits for a lock while the api is told to stop.
#[tokio::test]
async fn stopping_answers_what_is_in_hand_and_takes_nothing_new() {
    with_database(async |pool, _| {
        let (sink, _deliveries) = event::local_channel();
        let running = api::start(settings(&[]), pool.clone(), EventSink::Local(sink)).await.unwrap();
        let base = format!("http://{}", running.addr());
        let seeded = api::seed::people_and_rooms(pool, 2, 2, 1).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("select from meetups where id = $1 for update")
            .bind(seeded.rooms[0])
            .execute(&mut *transaction)
            .await
            .unwrap();
        let join = format!("{base}/api/meetups/{}/members", seeded.rooms[0]);
        let join = reqwest::Client::new().post(join).bearer_auth(&seeded.tokens[1]).send();
        let join = tokio::spawn(join);
        // In hand once its statement waits for our lock.
        let waits = "select exists (select from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(pool).await.unwrap() {
            tokio::task::yield_now().await;
        }
        let stopping = tokio::spawn(running.stop());
        while reqwest::get(format!("{base}/livez")).await.is_ok() {
            tokio::task::yield_now().await;
        }
        transaction.rollback().await.unwrap();
        assert_eq!(join.await.unwrap().unwrap().status(), 201);
        stopping.await.unwrap();
    })
    .await;
}

/// The binary, with this in its environment and nothing else of ours.
async fn binary(environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_api"));
    command.env_clear().envs(environment.iter().copied()).kill_on_drop(true);
    let output = command.output().await.expect("the binary starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn the_binary_says_in_one_line_what_it_lacks() {
    let nowhere = "postgres://moyiza@127.0.0.1:1/moyiza";
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "DATABASE_URL is not set"),
        (&[("DATABASE_URL", nowhere)], "MOYIZA_KAFKA_BROKERS is not set"),
        (&[("DATABASE_URL", nowhere), ("MOYIZA_KAFKA_BROKERS", "127.0.0.1:1")], "127.0.0.1:1 (DATABASE_URL)"),
        (&[("MOYIZA_API_ADRESS", "127.0.0.1:1")], "MOYIZA_API_ADRESS"),
    ];
    for (environment, expected) in cases {
        let (code, text) = binary(environment).await;
        assert!(code.is_some_and(|code| code != 0), "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    }
}
