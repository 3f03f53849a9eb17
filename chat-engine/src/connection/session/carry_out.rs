//! What a client's frames come to: messages, subscriptions, transactions, its token.

use std::{sync::Arc, time::Instant};

use shared::{RoomId, Seq, UserId};
use stomp::{Ack, Acknowledgement, ByteString, Send, Subscribe};
use tokio::sync::oneshot;

use super::{
    Connection, Stepped,
    reply::{About, Outcome},
};
use crate::{
    connection::{
        Batch, CloseReason, Outlet,
        requests::{Following, Post, Refusal, Sending},
    },
    engine::Engine,
    events,
    inboxes::Unlisted,
    log::AppendError,
    room::{Subscriber, SubscriberId},
    shard::{Answer, Feed, InboxOutlet, Input, RoomOutlet, Unavailable},
    topics::TopicsError,
};

use super::checks::{Checks, Target};

/// What a subscription follows.
#[derive(Clone, Debug)]
pub(super) enum Subscription {
    Room { room: RoomId, feed: Feed, id: SubscriberId },
    Topic { destination: Arc<str>, id: SubscriberId },
    Errors { outlet: Outlet },
    Rooms { user: UserId, id: SubscriberId },
}

impl Subscription {
    /// Follows nothing any more.
    pub(super) fn end(self, engine: &Engine) {
        match self {
            Self::Room { room, id, .. } => engine.shards.send(room, Input::Unsubscribe { room, id }),
            Self::Topic { destination, id } => engine.topics.unsubscribe(&destination, id),
            Self::Errors { .. } => {}
            Self::Rooms { user, id } => engine.inboxes.end(user, id),
        }
    }
}

/// What is waiting for its membership checks.
pub(super) enum Asked {
    Send(Sending, Option<ByteString>),
    Subscribe(Following, Subscribe, Option<ByteString>),
    Commit(Vec<(Part, Sending)>, Vec<Acknowledgement>, Option<ByteString>),
}

/// A SEND of a transaction.
#[derive(Clone)]
pub(super) struct Part {
    /// From 1 on.
    number: usize,
    destination: ByteString,
}

impl Part {
    /// Says in a refusal which of the transaction's SENDs it is of.
    fn name(&self, refusal: impl Into<Refusal>) -> Refusal {
        let Self { number, ref destination } = *self;
        Refusal::Part { number, destination: destination.clone(), refusal: Box::new(refusal.into()) }
    }
}

impl Asked {
    pub(super) fn about(&self) -> About {
        match self {
            Self::Send(_, receipt) | Self::Commit(_, _, receipt) => receipt.clone().into(),
            Self::Subscribe(_, subscribe, receipt) => About::subscribe(subscribe, receipt.clone()),
        }
    }

    /// The rooms whose members may do this, each with the place of what asks for it.
    fn rooms(&self) -> Vec<(usize, RoomId)> {
        let room = match self {
            Self::Send(sending, _) => sending.room(),
            Self::Subscribe(following, ..) => following.room(),
            Self::Commit(parts, ..) => {
                let rooms = parts.iter().map(|(_, sending)| sending.room()).enumerate();
                return rooms.filter_map(|(at, room)| Some((at, room?))).collect();
            }
        };
        room.map(|room| (0, room)).into_iter().collect()
    }

    /// The messages that this changes or answers, likewise.
    fn targets(&self) -> Vec<(usize, Target)> {
        match self {
            Self::Send(sending, _) => Target::of(sending).map(|target| (0, target)).into_iter().collect(),
            Self::Subscribe(..) => Vec::new(),
            Self::Commit(parts, ..) => {
                let targets = parts.iter().map(|(_, sending)| Target::of(sending)).enumerate();
                targets.filter_map(|(at, target)| Some((at, target?))).collect()
            }
        }
    }

    /// Says in a refusal which part of this it is of.
    fn name(&self, at: usize, refusal: Refusal) -> Refusal {
        match self {
            Self::Commit(parts, ..) => parts[at].0.name(refusal),
            Self::Send(..) | Self::Subscribe(..) => refusal,
        }
    }
}

impl From<TopicsError> for Refusal {
    fn from(error: TopicsError) -> Self {
        Self::TryAgain(error.to_string())
    }
}

impl From<Unlisted> for Refusal {
    fn from(error: Unlisted) -> Self {
        tracing::error!(%error, "a list of rooms cannot be read");
        Self::TryAgain(error.to_string())
    }
}

impl From<Unavailable> for Refusal {
    fn from(error: Unavailable) -> Self {
        Self::TryAgain(error.to_string())
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        Self::TryAgain(error.to_string())
    }
}

impl Connection {
    pub(super) fn send(
        &mut self,
        send: Send,
        receipt: Option<ByteString>,
        now: Instant,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        self.may_send(1, now)?;
        let settings = &self.engine.settings;
        let sending = Sending::parse(send, settings.limits.max_content_bytes, settings.topics)?;
        self.check(Asked::Send(sending, receipt), batch)
    }

    /// Takes so many frames from the client's rate.
    fn may_send(&mut self, sends: usize, now: Instant) -> Result<(), Refusal> {
        let rate = self.engine.send_rate;
        if (0..sends).all(|_| self.sends.take(rate, now)) {
            Ok(())
        } else {
            Err(Refusal::TooFast { per_second: rate.per_second, burst: rate.burst })
        }
    }

    pub(super) fn subscribe(
        &mut self,
        subscribe: Subscribe,
        receipt: Option<ByteString>,
        now: Instant,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        self.may_send(1, now)?;
        let following = Following::parse(&subscribe, self.engine.settings.topics)?;
        self.check(Asked::Subscribe(following, subscribe, receipt), batch)
    }

    /// All of a transaction's SENDs are checked before the first is done.
    pub(super) fn commit(
        &mut self,
        sends: Vec<Send>,
        acknowledgements: Vec<Acknowledgement>,
        receipt: Option<ByteString>,
        now: Instant,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        self.may_send(sends.len(), now)?;
        let settings = &self.engine.settings;
        let parse = |(number, send): (usize, Send)| {
            let part = Part { number, destination: send.destination.clone() };
            match Sending::parse(send, settings.limits.max_content_bytes, settings.topics) {
                Ok(Sending::History { .. } | Sending::Token(_)) => Err(part.name(Refusal::NotInTransaction)),
                Ok(sending) => Ok((part, sending)),
                Err(refusal) => Err(part.name(refusal)),
            }
        };
        let sends = (1..).zip(sends).map(parse).collect::<Result<_, _>>()?;
        self.check(Asked::Commit(sends, acknowledgements, receipt), batch)
    }

    /// Goes on at once if the person is known to be a member wherever it matters, else after asking. What changes or
    /// answers a message waits for a look at that.
    fn check(&mut self, asked: Asked, batch: &mut Batch) -> Result<(), Refusal> {
        let Some(user) = self.identity.map(|identity| identity.user) else { return Ok(()) };
        let (mut rooms, targets) = (asked.rooms(), asked.targets());
        rooms.retain(|(_, room)| !self.engine.memberships.is_known(*room, user));
        if rooms.is_empty() && targets.is_empty() {
            return self.carry_out(asked, batch);
        }
        let checks = Checks { engine: self.engine.clone(), user };
        self.step = Some(Box::pin(async move {
            let outcome = checks.pass(&rooms, &targets).await;
            let outcome = outcome.map_err(|(at, refusal)| asked.name(at, refusal));
            Stepped::Checked(asked, outcome)
        }));
        Ok(())
    }

    pub(super) fn carry_out(&mut self, asked: Asked, batch: &mut Batch) -> Result<(), Refusal> {
        match asked {
            Asked::Send(sending, receipt) => self.carry_out_send(sending, receipt, batch),
            Asked::Subscribe(following, subscribe, receipt) => {
                self.carry_out_subscribe(following, &subscribe, receipt);
                Ok(())
            }
            Asked::Commit(sends, acknowledgements, receipt) => {
                self.acknowledge(&acknowledgements)?;
                // The receipt comes when the last of them is done.
                let outcome = Arc::new(Outcome::new(receipt, self.reply(), self.outbox.owe()));
                for (part, sending) in sends {
                    let outcome = outcome.clone();
                    match sending {
                        Sending::Log(post) => {
                            let (of_part, name) = (outcome.clone(), part.clone());
                            let appended = self.append(post, move |result| {
                                of_part.part(result.map(drop).map_err(|error| name.name(error)));
                            });
                            outcome.part(appended.map_err(|refusal| part.name(refusal)));
                        }
                        Sending::Topic(send) => {
                            let done = move |result: Result<(), TopicsError>| {
                                outcome.part(result.map_err(|error| part.name(error)));
                            };
                            self.engine.topics.publish(send, batch, done);
                        }
                        Sending::History { .. } | Sending::Token(_) => {}
                    }
                }
                Ok(())
            }
        }
    }

    fn carry_out_send(
        &mut self,
        sending: Sending,
        receipt: Option<ByteString>,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        match sending {
            Sending::Log(post) => {
                let (reply, owed) = (self.reply(), self.outbox.owe());
                self.append(post, move |result| {
                    reply.give(receipt.as_ref(), result.map(Some));
                    drop(owed);
                })
            }
            Sending::Topic(send) => {
                let (reply, owed) = (self.reply(), self.outbox.owe());
                self.engine.topics.publish(send, batch, move |result| {
                    reply.give(receipt.as_ref(), result.map(|()| None));
                    drop(owed);
                });
                Ok(())
            }
            Sending::Token(token) => {
                let engine = self.engine.clone();
                self.step = Some(Box::pin(async move {
                    let claims = engine.access.authenticate(token.as_deref()).await;
                    Stepped::TokenChecked(claims, receipt)
                }));
                Ok(())
            }
            Sending::History { room, subscription, place, limit } => {
                let wanted = |name: &str| subscription.as_deref().is_none_or(|id| id == name);
                let found = self.session.subscriptions().find_map(|(name, of)| match of {
                    Subscription::Room { room: of, id, .. } if *of == room && wanted(name) => Some(*id),
                    _ => None,
                });
                let id = found.ok_or(Refusal::NoSubscription)?;
                let answer = self.answer(receipt);
                self.ask(room, |taken| Input::History { room, id, place, limit, answer, taken });
                Ok(())
            }
        }
    }

    fn carry_out_subscribe(
        &mut self,
        following: Following,
        subscribe: &Subscribe,
        receipt: Option<ByteString>,
    ) {
        let Some(user) = self.identity.map(|identity| identity.user) else { return };
        let id = SubscriberId(self.engine.registry.next_id());
        let subscription = subscribe.id.as_deref().map(Into::into);
        let mut outlet = Outlet { outbox: self.outbox.clone(), subscription, unacknowledged: None };
        match following {
            Following::Room { room, feed, wanted } => {
                outlet.unacknowledged = self.session.follow(subscribe, Subscription::Room { room, feed, id });
                let reads = feed == Feed::Chat && subscribe.ack == Ack::Auto;
                let subscriber = Subscriber { id, user, reads };
                let answer = Some(self.answer(receipt));
                let outlet = RoomOutlet { outlet, feed, reads: subscriber.reads, answer };
                self.ask(room, |taken| Input::Subscribe { room, subscriber, outlet, wanted, taken });
                // They may have left between the check and the line above. Events change the cache before they
                // expel: either this sees it, or the expulsion comes behind the subscription.
                events::put_out(&self.engine, room, user, CloseReason::NotAMember);
            }
            Following::Topic(destination) => {
                let subscription = Subscription::Topic { destination: destination.clone(), id };
                outlet.unacknowledged = self.session.subscribe(subscribe, subscription);
                match self.engine.topics.subscribe(&destination, id, outlet) {
                    None => self.receipt_if(receipt.as_deref()),
                    Some(ready) => {
                        let subscribe = subscribe.clone();
                        self.step =
                            Some(Box::pin(
                                async move { Stepped::Subscribed(subscribe, receipt, ready.await) },
                            ));
                    }
                }
            }
            Following::Rooms => {
                self.session.subscribe(subscribe, Subscription::Rooms { user, id });
                let (engine, subscribe) = (self.engine.clone(), subscribe.clone());
                let (outlet, owed) = (InboxOutlet::new(id, user, outlet), self.outbox.owe());
                self.step = Some(Box::pin(async move {
                    let begun = engine.inboxes.begin(Arc::new(outlet), receipt.clone(), owed).await;
                    Stepped::Listed(subscribe, receipt, begun)
                }));
            }
            Following::Errors => {
                self.session.subscribe(subscribe, Subscription::Errors { outlet: outlet.clone() });
                self.receipt_if(receipt.as_deref());
                // The others were told before this one was there.
                if self.lifetime.was_warned() {
                    self.say(self.token_event(&outlet, Instant::now()));
                }
            }
        }
    }

    /// Hands an input to the room's shard, and reads on when it was taken.
    fn ask(&mut self, room: RoomId, input: impl FnOnce(oneshot::Sender<()>) -> Input) {
        let (taken, wait) = oneshot::channel();
        self.engine.shards.send(room, input(taken));
        self.step = Some(Box::pin(async move {
            // Dropped, not sent: an error is the signal.
            let _ = wait.await;
            Stepped::Taken
        }));
    }

    /// What a shard answers with.
    fn answer(&self, receipt: Option<ByteString>) -> Answer {
        let (reply, id) = (self.reply(), receipt.clone());
        let refuse = move |unavailable: Unavailable| reply.give(id.as_ref(), Err(unavailable));
        Answer { receipt, refuse: Box::new(refuse), owed: self.outbox.owe() }
    }

    /// Appends a record, unless its sender has ceased to be a member since that was checked: once this node knows of it
    /// nothing of theirs goes to the log.
    fn append(
        &self,
        post: Post,
        done: impl FnOnce(Result<Seq, AppendError>) + std::marker::Send + 'static,
    ) -> Result<(), Refusal> {
        let Some(user) = self.identity.map(|identity| identity.user) else { return Ok(()) };
        let room = post.room;
        let append = || self.engine.log.append(post.draft(user), Box::new(done));
        self.engine.memberships.while_member(room, user, append).ok_or(Refusal::NotAMember(room))
    }
}
