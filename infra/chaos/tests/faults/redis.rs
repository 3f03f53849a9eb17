//! Redis is killed, started again, and frozen.

use std::time::Duration;

use chaos::wire::Ended;

use crate::ground::Ground;

/// Longer than an event takes to every node, and shorter than anything that waits for a server which is away.
const AT_ONCE: Duration = Duration::from_secs(5);

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

pub(crate) async fn without_redis_who_is_banned_hears_nothing_more(ground: &Ground) {
    ground.cut_the_banned_off(async |ground| ground.cluster.kill_redis().await).await;
}

pub(crate) async fn with_a_frozen_redis_who_is_banned_hears_nothing_more(ground: &Ground) {
    ground.cut_the_banned_off(async |ground| ground.cluster.freeze_redis().await).await;
}

impl Ground {
    /// Puts somebody out who follows a room on every node, while Redis is away.
    async fn cut_the_banned_off(&self, take_redis: impl AsyncFnOnce(&Self)) {
        let talk = self.talk(2).await;
        let mut anna = self.chatter(&talk, 0, 0).await;
        let mut everywhere = [self.chatter(&talk, 1, 0).await, self.chatter(&talk, 1, 1).await];
        let before = anna.say("before").await.unwrap();
        for banned in &mut everywhere {
            banned.sees(before).await;
        }
        take_redis(self).await;
        self.ban(&talk, 1).await;
        for (node, banned) in everywhere.iter_mut().enumerate() {
            let ended = tokio::time::timeout(AT_ONCE, banned.is_closed()).await;
            let ended = ended.unwrap_or_else(|_| panic!("node {node} lets the banned listen"));
            assert!(matches!(ended, Ended::Closed(1008, _)), "{ended}");
            let refused = banned.try_to_follow(self.cluster.engine(node)).await;
            assert!(
                matches!(&refused, Err(Ended::Refused { message, .. }) if message == "not a member"),
                "{refused:?}"
            );
        }
        let after = anna.say("after").await.unwrap();
        anna.sees(after).await;
        self.cluster.heal().await;
        self.cluster.revive().await.unwrap();
        self.all_is_well(&talk, vec![anna]).await;
    }
}
