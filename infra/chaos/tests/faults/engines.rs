//! Engines join, leave, are killed and frozen.

use chaos::{proxy::Mode, wire::Ended};

use crate::ground::{Ground, SPARE};

pub(crate) async fn an_engine_that_joins_serves_at_once(ground: &Ground) {
    let talk = ground.talk(2).await;
    let mut anna = ground.chatter(&talk, 0, 0).await;
    for number in 0..20 {
        anna.say(&format!("before {number}")).await.unwrap();
    }
    let joins = ground.cluster.engine(SPARE);
    joins.start();
    joins.ready().await;
    // From the room's start, on a node that has seen none of it.
    let mut bo = ground.chatter(&talk, 1, SPARE).await;
    let to_anna = bo.say("from the new one").await.unwrap();
    anna.sees(to_anna).await;
    let to_bo = anna.say("to the new one").await.unwrap();
    bo.sees(to_bo).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}

pub(crate) async fn an_engine_that_leaves_sends_its_clients_elsewhere(ground: &Ground) {
    let talk = ground.talk(2).await;
    let leaves = ground.cluster.engine(1);
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    let before = bo.say("before").await.unwrap();
    anna.sees(before).await;
    let ((), ended) = tokio::join!(leaves.leave(), bo.is_closed());
    assert!(matches!(ended, Ended::Closed(1012, _)), "{ended}");
    anna.say("while Bo is away").await.unwrap();
    bo.follow(ground.cluster.engine(0)).await;
    leaves.start();
    leaves.ready().await;
    ground.all_is_well(&talk, vec![bo, anna]).await;
}

pub(crate) async fn an_engine_cut_from_everything_ends_when_it_is_told_to(ground: &Ground) {
    let talk = ground.talk(2).await;
    let alone = ground.cluster.engine(1);
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    let before = bo.say("before").await.unwrap();
    anna.sees(before).await;
    alone.set_all(Mode::Cut);
    // Bo's leaving is something to tell of, to a Redis that does not answer.
    let ((), ended) = tokio::join!(alone.leave(), bo.is_closed());
    assert!(matches!(ended, Ended::Closed(1012, _)), "{ended}");
    assert_eq!(alone.ended_by_itself(), Vec::<String>::new());
    alone.set_all(Mode::Pass);
    alone.start();
    alone.ready().await;
    bo.follow(alone).await;
    ground.all_is_well(&talk, vec![bo, anna]).await;
}

pub(crate) async fn a_killed_engine_loses_nothing_acknowledged(ground: &Ground) {
    let talk = ground.talk(2).await;
    let killed = ground.cluster.engine(1);
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    for number in 0..20 {
        bo.say(&format!("before {number}")).await.unwrap();
    }
    // Acknowledged or not when the engine dies: said again, it is there once.
    let unknown = bo.new_client_id();
    let (answer, ()) = tokio::join!(bo.say_as(&unknown, "in the middle"), killed.kill());
    let again = bo.insist_as(&unknown, "in the middle", &ground.cluster).await;
    assert!(answer.is_err() || answer == Ok(again), "{answer:?}, and then {again}");
    anna.sees(again).await;
    killed.start();
    killed.ready().await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}

pub(crate) async fn an_engine_frozen_past_its_lease_takes_its_place_again(ground: &Ground) {
    let talk = ground.talk(2).await;
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    let read = anna.say("Bo reads this").await.unwrap();
    anna.shows(read, 0).await;
    let frozen = ground.cluster.engine(1);
    frozen.freeze();
    let unread = anna.say("and this as soon as he can").await.unwrap();
    // Another takes the place of one whose lease has ended.
    anna.shows(unread, 1).await;
    frozen.thaw();
    // It notices that it lost its lease, and says again who reads there.
    bo.catches_up(unread, &ground.cluster).await;
    anna.shows(unread, 0).await;
    ground.all_is_well(&talk, vec![anna, bo]).await;
}
