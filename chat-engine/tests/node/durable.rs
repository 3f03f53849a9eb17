//! Shown means durable: neither its sender's RECEIPT nor anybody's MESSAGE comes before a record is safe.

use std::time::Duration;

use stomp::Command;

use crate::{
    client::PATIENCE,
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

pub(crate) async fn wait_for_a_blocked_commit(world: &World) {
    let blocked = async {
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&world.pool)
            .await
            .unwrap();
            if waiting > 0 {
                return;
            }
            // PostgreSQL does not tell when somebody begins to wait.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, blocked).await.expect("the commit waits");
}
