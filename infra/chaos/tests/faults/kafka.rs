//! Brokers are killed and frozen.

use crate::chatter::Chatter;
use crate::ground::{Ground, Talk};

pub(crate) async fn one_broker_of_three_is_not_missed(ground: &Ground) {
    let talk = ground.talk(2).await;
    let (mut anna, mut bo) = both(ground, &talk).await;
    ground.cluster.kill_broker(0).await;
    for number in 0..10 {
        let seq = bo.insist(&format!("on {number}"), &ground.cluster).await;
        anna.catches_up(seq, &ground.cluster).await;
    }
    ground.brokers_return(&[0]).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}

pub(crate) async fn a_frozen_broker_is_not_missed(ground: &Ground) {
    let talk = ground.talk(2).await;
    let (mut anna, mut bo) = both(ground, &talk).await;
    ground.cluster.freeze_broker(1).await;
    for number in 0..10 {
        let seq = bo.insist(&format!("on {number}"), &ground.cluster).await;
        anna.catches_up(seq, &ground.cluster).await;
    }
    ground.cluster.thaw_broker(1).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}

pub(crate) async fn without_two_brokers_of_three_nothing_is_acknowledged(ground: &Ground) {
    let talk = ground.talk(2).await;
    let (anna, mut bo) = both(ground, &talk).await;
    ground.cluster.kill_broker(1).await;
    ground.cluster.kill_broker(2).await;
    let unknown = bo.new_client_id();
    let refused = bo.say_as(&unknown, "one copy is not enough").await;
    assert!(refused.is_err(), "acknowledged at {refused:?} with one copy");
    ground.brokers_return(&[1, 2]).await;
    bo.insist_as(&unknown, "one copy is not enough", &ground.cluster).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}

pub(crate) async fn a_frozen_kafka_holds_messages_up_and_loses_none(ground: &Ground) {
    let talk = ground.talk(2).await;
    let (anna, mut bo) = both(ground, &talk).await;
    ground.cluster.freeze_brokers().await;
    let unknown = bo.new_client_id();
    let refused = bo.say_as(&unknown, "is anybody there").await;
    assert!(refused.is_err(), "acknowledged at {refused:?} without a broker");
    ground.cluster.thaw_brokers().await;
    bo.insist_as(&unknown, "is anybody there", &ground.cluster).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}

/// Two people, each on an engine of their own, who have heard of each other.
async fn both(ground: &Ground, talk: &Talk) -> (Chatter, Chatter) {
    let mut anna = ground.chatter(talk, 0, 0).await;
    let mut bo = ground.chatter(talk, 1, 1).await;
    let seq = bo.say("before").await.unwrap();
    anna.sees(seq).await;
    (anna, bo)
}
