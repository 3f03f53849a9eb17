//! PostgreSQL is killed, started again, and frozen.

use crate::ground::Ground;

pub(crate) async fn without_postgres_chat_goes_on_and_rows_catch_up(ground: &Ground) {
    let talk = ground.talk(2).await;
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    bo.say("before").await.unwrap();
    ground.cluster.kill_postgres().await;
    let mut last = 0;
    for number in 0..10 {
        last = bo.say(&format!("on {number}")).await.unwrap();
    }
    anna.sees(last).await;
    anna.vanish();
    let missed = bo.say("you were away").await.unwrap();
    anna.follow(ground.cluster.engine(0)).await;
    anna.sees(missed).await;
    ground.cluster.restart_postgres().await.unwrap();
    ground.has_row(&talk, missed).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}

pub(crate) async fn a_frozen_postgres_holds_no_message_up(ground: &Ground) {
    let talk = ground.talk(2).await;
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    bo.say("before").await.unwrap();
    ground.cluster.freeze_postgres().await;
    let mut last = 0;
    for number in 0..10 {
        last = bo.say(&format!("on {number}")).await.unwrap();
    }
    anna.sees(last).await;
    anna.vanish();
    let missed = bo.say("you were away").await.unwrap();
    anna.follow(ground.cluster.engine(0)).await;
    anna.sees(missed).await;
    ground.cluster.thaw_postgres().await;
    ground.has_row(&talk, missed).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}
