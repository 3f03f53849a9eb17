//! The outbox relay: at least once, in order per key, by one node at a time.

use api::EventSink;
use shared::{
    MeetupId, SessionId, UserId,
    event::{self, Delivery, MeetupEvent},
    testing::with_database,
};
use sqlx::PgPool;

use crate::support::{Events, settings, with_api};

fn joined(meetup: i64, user: i64) -> MeetupEvent {
    let (meetup, user) = (MeetupId::try_from(meetup).unwrap(), UserId::try_from(user).unwrap());
    MeetupEvent::MemberJoined { meetup, user, version: 1 }
}

async fn publish(pool: &PgPool, event: &MeetupEvent) {
    event::publish(&mut pool.acquire().await.unwrap(), event).await.unwrap();
}

/// Leaves the delivery of `hanging` unanswered and takes `other`, of another key, as done: keys keep no order among
/// each other.
async fn until_the_other_key_is_taken(
    events: &mut Events,
    hanging: &MeetupEvent,
    other: &MeetupEvent,
) -> Delivery {
    let (one, two) = (events.delivery().await, events.delivery().await);
    let (hangs, taken) = if one.envelope.event == *hanging { (one, two) } else { (two, one) };
    assert_eq!((&hangs.envelope.event, &taken.envelope.event), (hanging, other));
    taken.done.send(()).unwrap();
    hangs
}

async fn waiting(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from outbox").fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn an_event_that_was_not_taken_comes_again_and_before_its_successors() {
    with_api(async |api| {
        let mut events = api.events();
        publish(&api.pool, &joined(1, 1)).await;
        publish(&api.pool, &joined(1, 2)).await;
        let first = events.delivery().await;
        assert_eq!(first.envelope.event, joined(1, 1));
        let id = first.envelope.id;
        drop(first.done);

        let again = events.delivery().await;
        assert_eq!((again.envelope.id, &again.envelope.event), (id, &joined(1, 1)));
        assert_eq!(waiting(&api.pool).await, 2);
        again.done.send(()).unwrap();
        assert_eq!(events.next().await, joined(1, 2));
    })
    .await;
}

#[tokio::test]
async fn an_event_that_hangs_does_not_hold_up_other_keys() {
    with_api(async |api| {
        let mut events = api.events();
        let mut transaction = api.pool.begin().await.unwrap();
        for event in [joined(1, 1), joined(1, 2), joined(2, 3)] {
            event::publish(&mut transaction, &event).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let hangs = until_the_other_key_is_taken(&mut events, &joined(1, 1), &joined(2, 3)).await;
        hangs.done.send(()).unwrap();
        assert_eq!(events.next().await, joined(1, 2));
    })
    .await;
}

#[tokio::test]
async fn an_event_that_hangs_holds_up_nothing_that_comes_later() {
    with_api(async |api| {
        let mut events = api.events();
        // More than are taken at once.
        let mut transaction = api.pool.begin().await.unwrap();
        for user in 1..=300 {
            event::publish(&mut transaction, &joined(1, user)).await.unwrap();
        }
        event::publish(&mut transaction, &joined(2, 1)).await.unwrap();
        transaction.commit().await.unwrap();
        let hangs = until_the_other_key_is_taken(&mut events, &joined(1, 1), &joined(2, 1)).await;
        for user in 2..=4 {
            publish(&api.pool, &joined(3, user)).await;
            assert_eq!(events.next().await, joined(3, user));
        }
        hangs.done.send(()).unwrap();
        for user in 2..=300 {
            assert_eq!(events.next().await, joined(1, user));
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_whose_id_is_lower_but_which_commits_later_is_not_skipped() {
    with_api(async |api| {
        let mut events = api.events();
        let mut early = api.pool.begin().await.unwrap();
        event::publish(&mut early, &joined(1, 1)).await.unwrap();
        publish(&api.pool, &joined(2, 2)).await;
        assert_eq!(events.next().await, joined(2, 2));
        early.commit().await.unwrap();
        assert_eq!(events.next().await, joined(1, 1));
    })
    .await;
}

#[tokio::test]
async fn what_rolls_back_is_never_told() {
    with_api(async |api| {
        let mut events = api.events();
        let mut transaction = api.pool.begin().await.unwrap();
        event::publish(&mut transaction, &joined(1, 1)).await.unwrap();
        transaction.rollback().await.unwrap();
        publish(&api.pool, &joined(1, 2)).await;
        assert_eq!(events.next().await, joined(1, 2));
    })
    .await;
}

#[tokio::test]
async fn events_of_before_the_start_are_delivered_first() {
    with_database(async |pool, _| {
        let user = UserId::try_from(9).unwrap();
        let old = MeetupEvent::SessionRevoked { user, session: SessionId::try_from(4).unwrap() };
        publish(pool, &old).await;
        let (sink, deliveries) = event::local_channel();
        let settings = settings(&["--development"]);
        let api = api::start(settings, pool.clone(), EventSink::Local(sink)).await.unwrap();
        let mut events = Events(deliveries);
        assert_eq!(events.next().await, old);
        publish(pool, &joined(1, 1)).await;
        assert_eq!(events.next().await, joined(1, 1));
        api.stop().await;
        // What was answered is gone, though the relay was stopped right after.
        assert!(waiting(pool).await <= 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_nodes_one_relays_and_the_other_takes_over() {
    with_database(async |pool, _| {
        let start = async || {
            let (sink, deliveries) = event::local_channel();
            let api = api::start(settings(&[]), pool.clone(), EventSink::Local(sink)).await.unwrap();
            (api, Events(deliveries))
        };
        let ((one, mut at_one), (other, mut at_other)) = (start().await, start().await);
        for user in 1..=200 {
            publish(pool, &joined(user % 3 + 1, user)).await;
        }
        let mut seen = std::collections::BTreeMap::<MeetupId, Vec<i64>>::new();
        for _ in 0..200 {
            let delivery = tokio::select! {
                delivery = at_one.delivery() => delivery,
                delivery = at_other.delivery() => delivery,
            };
            let MeetupEvent::MemberJoined { meetup, user, .. } = delivery.envelope.event else { panic!() };
            seen.entry(meetup).or_default().push(user.get());
            delivery.done.send(()).unwrap();
        }
        for (_, users) in seen {
            assert!(users.is_sorted(), "{users:?}");
            assert!(users.windows(2).all(|pair| pair[0] < pair[1]), "{users:?}");
        }
        // A node that goes in the middle of a delivery leaves it to the other.
        publish(pool, &joined(1, 500)).await;
        let (unanswered, at_first) = tokio::select! {
            delivery = at_one.delivery() => (delivery, true),
            delivery = at_other.delivery() => (delivery, false),
        };
        let (gone, stays, mut at_stays) =
            if at_first { (one, other, at_other) } else { (other, one, at_one) };
        gone.stop().await;
        drop(unanswered);
        assert_eq!(at_stays.next().await, joined(1, 500));
        stays.stop().await;
    })
    .await;
}

/// However often a delivery fails, no event of a meetup is tried before the one before it was taken.
#[tokio::test]
async fn whatever_fails_events_of_one_key_are_taken_in_their_order() {
    with_api(async |api| {
        let mut dice = fastrand::Rng::with_seed(7);
        let mut events = api.events();
        for user in 1..=60 {
            publish(&api.pool, &joined(user % 3 + 1, user)).await;
        }
        let (mut taken, mut refused) = (std::collections::BTreeMap::<MeetupId, Vec<i64>>::new(), 0);
        while taken.values().map(Vec::len).sum::<usize>() < 60 {
            let delivery = events.delivery().await;
            let MeetupEvent::MemberJoined { meetup, user, .. } = delivery.envelope.event else { panic!() };
            let before = taken.entry(meetup).or_default();
            // One that was taken may come again; a new one is the next: never one further on.
            let again = before.contains(&user.get());
            let first = if meetup.get() == 1 { 3 } else { meetup.get() - 1 };
            let next = before.last().map_or(first, |last| last + 3);
            assert!(again || user.get() == next, "{meetup}: {user} behind {before:?}");
            if refused < 8 && dice.u8(..4) == 0 {
                refused += 1;
                drop(delivery.done);
            } else {
                if !again {
                    before.push(user.get());
                }
                // The relay may have gone on without an answer to this one.
                let _ = delivery.done.send(());
            }
        }
        assert_eq!(refused, 8);
    })
    .await;
}
