//! Shown means durable: neither its sender's RECEIPT nor anybody's MESSAGE comes before a record is safe.

use chat_engine::log::AppendError;
use shared::{event, testing};
use stomp::{Command, Version};

use crate::{
    peer::Peer,
    settings::settings,
    world::{Backing, World, with_world_as},
};

#[tokio::test]
async fn nothing_is_told_of_a_message_before_its_transaction_has_committed() {
    with_world_as(Backing::Embedded, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut hold = world.pool.begin().await.unwrap();
        sqlx::query("select from log_progress for update").execute(&mut *hold).await.unwrap();
        a.post_only(room, "아직", "post").await;
        wait_for_a_blocked_commit(world).await;
        // The commit waits. What is asked for now is answered at once, so the message would have come before it.
        a.send(Command::Unsubscribe, &[("id", "chat"), ("receipt", "first")], "").await;
        let receipt = a.expect(Command::Receipt).await;
        assert_eq!(receipt.headers.first("receipt-id").unwrap(), "first");
        assert!(a.counts().is_empty(), "a message was shown: {:?}", a.counts());
        hold.rollback().await.unwrap();
        a.expect_receipt("post").await;
        assert_eq!(world.rows(room, 1).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_embedded_nodes_on_one_database_the_later_ends_and_acknowledges_nothing() {
    with_world_as(Backing::Embedded, &[], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = world.connect_to(&anna, room).await;
        // Both begin at the same offset.
        let (_events, received) = event::local_channel();
        let backend = chat_engine::Backend::Embedded { events: received };
        let mut second =
            chat_engine::start(settings(world.prefix(), []), world.pool.clone(), backend).await.unwrap();
        a.post(room, "먼저").await;
        let room_id = room.try_into().unwrap();
        assert_eq!(second.post(room_id, anna.id, "나중").await, Err(AppendError::Unavailable));
        let why = second.finished().await.to_string();
        assert!(why.contains("chat log failed"), "{why}");
        second.stop().await;
        assert_eq!(world.rows(room, 1).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_sends_to_an_embedded_log_that_is_away_is_told_to_come_back() {
    with_world_as(Backing::Embedded, &["--log-timeout-ms", "200"], async |world| {
        let anna = world.person().await;
        let room = world.room(&[&anna]).await;
        let mut a = Peer::connect(world.addr(), &anna.token, Version::V12).await;
        let mut hold = world.pool.begin().await.unwrap();
        sqlx::query("select from log_progress for update").execute(&mut *hold).await.unwrap();
        let destination = format!("/app/chat/{room}");
        a.say(Command::Send, &[("destination", &destination)], "{\"content\":\"거기 있어?\"}".as_bytes())
            .await;
        a.farewell().await.assert_error(&AppendError::Unavailable.to_string(), 1013);
        hold.rollback().await.unwrap();
    })
    .await;
}

pub(crate) async fn wait_for_a_blocked_commit(world: &World) {
    let query = "select count(*) from pg_stat_activity \
                 where datname = current_database() and wait_event_type = 'Lock'";
    let look = async || -> i64 { sqlx::query_scalar(query).fetch_one(&world.pool).await.unwrap() };
    testing::becomes("the commit to wait", look, |waiting| *waiting > 0).await;
}
