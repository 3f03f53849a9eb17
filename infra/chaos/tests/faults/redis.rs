//! Redis is killed, started again, and frozen.

use crate::ground::Ground;

pub(crate) async fn without_redis_messages_flow_and_counts_catch_up(ground: &Ground) {
    let talk = ground.talk(3).await;
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    bo.say("before").await.unwrap();
    ground.cluster.kill_redis().await;
    let seq = bo.say("without Redis").await.unwrap();
    anna.sees(seq).await;
    let mut cho = ground.chatter(&talk, 2, 0).await;
    cho.sees(seq).await;
    let last = cho.say("nor had I it").await.unwrap();
    bo.sees(last).await;
    ground.cluster.restart_redis().await.unwrap();
    for chatter in [&mut anna, &mut bo, &mut cho] {
        chatter.sees(last).await;
        chatter.shows(last, 0).await;
    }
    ground.all_is_well(&talk, vec![anna, bo, cho]).await;
}

pub(crate) async fn a_frozen_redis_holds_no_message_up(ground: &Ground) {
    let talk = ground.talk(3).await;
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    bo.say("before").await.unwrap();
    ground.cluster.freeze_redis().await;
    let seq = bo.say("while Redis sleeps").await.unwrap();
    anna.sees(seq).await;
    let mut cho = ground.chatter(&talk, 2, 0).await;
    cho.sees(seq).await;
    let last = cho.say("nor woke it for me").await.unwrap();
    bo.sees(last).await;
    ground.cluster.thaw_redis().await;
    for chatter in [&mut anna, &mut bo, &mut cho] {
        chatter.sees(last).await;
        chatter.shows(last, 0).await;
    }
    ground.all_is_well(&talk, vec![anna, bo, cho]).await;
}
