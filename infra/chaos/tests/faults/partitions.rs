//! One engine and one server no longer reach each other.

use chaos::{proxy::Mode, schedule::Server, wire::Ended};

use crate::ground::Ground;

pub(crate) async fn an_engine_cut_from_kafka_acknowledges_nothing_that_is_lost(ground: &Ground) {
    apart_from_kafka(ground, Mode::Cut).await;
}

pub(crate) async fn an_engine_that_kafka_no_longer_hears_acknowledges_nothing_that_is_lost(ground: &Ground) {
    apart_from_kafka(ground, Mode::Stall).await;
}

async fn apart_from_kafka(ground: &Ground, mode: Mode) {
    let talk = ground.talk(2).await;
    let apart = ground.cluster.engine(1);
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    bo.say("before").await.unwrap();
    apart.set(Server::Kafka, mode);
    let unknown = bo.new_client_id();
    // Refused within its bound: the answer is waited for, and the way does not open before it.
    let refused = bo.say_as(&unknown, "nobody hears this").await;
    assert!(refused.is_err(), "acknowledged at {refused:?} by an engine that reaches no broker");
    let meanwhile = anna.say("others talk on").await.unwrap();
    // Elsewhere it is heard; whether its first try comes through later or not, it is there once.
    bo.follow(ground.cluster.engine(0)).await;
    let seq = bo.say_as(&unknown, "nobody hears this").await.unwrap();
    anna.sees(seq).await;
    bo.sees(seq).await;
    bo.vanish();
    // What comes there would be older than what Bo has seen: not a place to go on, and no reason to begin anew.
    let refused = bo.try_to_follow(apart).await;
    assert!(refused.is_err(), "resumed where nobody has seen {seq}");
    apart.set(Server::Kafka, Mode::Pass);
    while bo.try_to_follow(apart).await.is_err() {}
    bo.sees(meanwhile).await;
    let again = bo.insist_as(&unknown, "nobody hears this", &ground.cluster).await;
    assert_eq!(again, seq, "the repeat's receipt has the first one's seq");
    ground.all_is_well(&talk, vec![bo, anna]).await;
}

pub(crate) async fn an_engine_cut_from_redis_goes_on_and_counts_catch_up(ground: &Ground) {
    apart_from_redis(ground, Mode::Cut).await;
}

pub(crate) async fn an_engine_that_redis_no_longer_hears_goes_on_and_counts_catch_up(ground: &Ground) {
    apart_from_redis(ground, Mode::Stall).await;
}

async fn apart_from_redis(ground: &Ground, mode: Mode) {
    let talk = ground.talk(3).await;
    let apart = ground.cluster.engine(1);
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    bo.say("before").await.unwrap();
    apart.set(Server::Redis, mode);
    let seq = bo.say("still here").await.unwrap();
    bo.sees(seq).await;
    anna.sees(seq).await;
    // Somebody new on the engine that cannot ask who has read what.
    let mut cho = ground.chatter(&talk, 2, 1).await;
    cho.sees(seq).await;
    let from_cho = cho.say("and me").await.unwrap();
    bo.sees(from_cho).await;
    apart.set(Server::Redis, Mode::Pass);
    for chatter in [&mut anna, &mut bo, &mut cho] {
        chatter.sees(from_cho).await;
        chatter.shows(from_cho, 0).await;
    }
    ground.all_is_well(&talk, vec![anna, bo, cho]).await;
}

pub(crate) async fn an_engine_cut_from_postgres_goes_on_and_rows_catch_up(ground: &Ground) {
    apart_from_postgres(ground, Mode::Cut).await;
}

pub(crate) async fn an_engine_that_postgres_no_longer_hears_goes_on_and_rows_catch_up(ground: &Ground) {
    apart_from_postgres(ground, Mode::Stall).await;
}

async fn apart_from_postgres(ground: &Ground, mode: Mode) {
    let talk = ground.talk(3).await;
    let apart = ground.cluster.engine(1);
    let mut anna = ground.chatter(&talk, 0, 0).await;
    let mut bo = ground.chatter(&talk, 1, 1).await;
    let mut banned = ground.chatter(&talk, 2, 1).await;
    bo.say("before").await.unwrap();
    apart.set(Server::Postgres, mode);
    let mut last = 0;
    for number in 0..10 {
        last = bo.say(&format!("on {number}")).await.unwrap();
    }
    anna.sees(last).await;
    // The engine cannot ask whether they are back, and lets nobody listen meanwhile.
    ground.ban(&talk, 2).await;
    let ended = banned.is_closed().await;
    assert!(matches!(ended, Ended::Closed(1013, _)), "{ended}");
    // What he missed is in the engine's memory.
    bo.vanish();
    let missed = anna.say("you were away").await.unwrap();
    bo.follow(apart).await;
    bo.sees(missed).await;
    apart.set(Server::Postgres, Mode::Pass);
    ground.has_row(&talk, missed).await;
    ground.all_is_well(&talk, vec![bo, anna]).await;
}
