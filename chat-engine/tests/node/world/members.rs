//! Who comes and goes, and how the nodes are told.

use rdkafka::{
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{
    MeetupId,
    event::{Delivery, Envelope, LeaveReason, MeetupEvent},
    names::Topics,
};
use tokio::sync::oneshot;

use super::{Events, Person, World};
use crate::client::PATIENCE;

impl World {
    /// The row that joining writes, before any event tells of it.
    pub(crate) async fn add_row(&self, room: i64, person: &Person) {
        sqlx::query("insert into memberships (meetup_id, user_id, state) values ($1, $2, 'member')")
            .bind(room)
            .bind(person.id)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Joins as the api does it: the row and, delivered before this returns, the event.
    pub(crate) async fn join(&self, room: i64, person: &Person) {
        self.add_row(room, person).await;
        self.tell(MeetupEvent::MemberJoined { meetup: meetup(room), user: person.id, version: 1 }).await;
    }

    pub(crate) async fn leave(&self, room: i64, person: &Person) {
        self.put_out(room, person, "left", LeaveReason::Left).await;
    }

    /// Ends a membership as the api does it: the row and, delivered before this returns, the event.
    pub(crate) async fn put_out(&self, room: i64, person: &Person, state: &str, reason: LeaveReason) {
        let version = self.change_row(room, person, state).await;
        self.tell(MeetupEvent::MemberLeft { meetup: meetup(room), user: person.id, version, reason }).await;
    }

    /// Who was a member becomes one again.
    pub(crate) async fn join_again(&self, room: i64, person: &Person) {
        let version = self.change_row(room, person, "member").await;
        self.tell(MeetupEvent::MemberJoined { meetup: meetup(room), user: person.id, version }).await;
    }

    /// Changes the row only, and returns its version: the event is the caller's to tell.
    pub(crate) async fn change_row(&self, room: i64, person: &Person, state: &str) -> i64 {
        sqlx::query_scalar(
            "update memberships set state = $3, version = version + 1 where meetup_id = $1 and user_id = $2 \
             returning version",
        )
        .bind(room)
        .bind(person.id)
        .bind(state)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Delivers an event; where the api waits for it to be durable, so does this.
    pub(crate) async fn tell(&self, event: MeetupEvent) {
        let id = {
            let mut next = self.next_event.lock();
            *next += 1;
            *next
        };
        self.deliver(Envelope { id, event }).await;
    }

    /// Delivers what was the last event again, as a relay does that did not hear of it.
    pub(crate) async fn tell_again(&self, event: MeetupEvent) {
        let id = *self.next_event.lock();
        self.deliver(Envelope { id, event }).await;
    }

    /// Delivers an event; where the api waits for it to be durable, so does this.
    pub(crate) async fn deliver(&self, envelope: Envelope) {
        let events = self.events.lock().clone().expect("a node runs");
        match events {
            Events::Local(events) => {
                let (done, answered) = oneshot::channel();
                events.send(Delivery { envelope, done }).await.unwrap();
                answered.await.expect("the event is taken");
            }
            Events::Kafka(producer) => self.deliver_by(&producer, envelope).await,
        }
    }

    /// The same to nodes that a test has started itself.
    pub(crate) async fn deliver_by(&self, producer: &FutureProducer, envelope: Envelope) {
        let topic = Topics::new(&*self.prefix).meetup_events();
        let (key, payload) = (envelope.event.key().to_string(), serde_json::to_vec(&envelope).unwrap());
        let record = FutureRecord::to(&topic).key(&key).payload(&payload);
        producer.send(record, Timeout::After(PATIENCE)).await.unwrap();
    }
}

/// The meetup of a room.
pub(crate) fn meetup(room: i64) -> MeetupId {
    room.try_into().unwrap()
}
