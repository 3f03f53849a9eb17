//! How a client is told what became of what it asked for, and what else it should know.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use shared::Seq;
use stomp::{ByteString, Subscribe, session::Violation};

use super::{Connection, carry_out::Subscription};
use crate::connection::{
    Batch, Outbox, Outlet, Owed, frames, outlet,
    requests::{ERRORS, Refusal},
};

impl Connection {
    /// A protocol violation ends the connection. Whatever else is refused ends it too, unless the client has
    /// subscribed to where it is told.
    pub(super) fn refuse(&mut self, refusal: &Refusal, about: &About, batch: &mut Batch) {
        let (title, text) = (refusal.title(), refusal.to_string());
        if !refusal.is_protocol() && self.tell_refusal(title, &text, about, batch) {
            if let Some(Ended { name, .. }) = &about.subscription {
                self.session.turn_down(name);
            }
            return;
        }
        let receipt = about.receipt.as_deref();
        let error = match refusal {
            Refusal::Protocol(Violation::NoCommonVersion) => frames::no_common_version(&text),
            _ => frames::error(self.outbox.version(), title, &text, receipt),
        };
        self.say(error);
        self.outbox.close(refusal.close_reason());
    }

    pub(super) fn errors_outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.session.subscriptions().filter_map(|(_, subscription)| match subscription {
            Subscription::Errors { outlet } => Some(outlet),
            _ => None,
        })
    }

    pub(super) fn reply(&self) -> Reply {
        let errors: Vec<_> = self.errors_outlets().cloned().collect();
        let id = if errors.is_empty() { 0 } else { self.engine.registry.next_id() };
        Reply { errors, id, outbox: self.outbox.clone() }
    }

    /// Tells the client of a refusal where it asked to be told; whether it did.
    pub(super) fn tell_refusal(&self, title: &str, text: &str, about: &About, batch: &mut Batch) -> bool {
        let mut id = None;
        for outlet in self.errors_outlets() {
            let id = *id.get_or_insert_with(|| self.engine.registry.next_id());
            batch.push(&outlet.outbox, notice(outlet, id, title, text, about));
        }
        id.is_some()
    }

    /// The token is about to end: a fresh one is due by SEND to `/app/token`.
    pub(super) fn warn_of_token(&self, now: Instant, batch: &mut Batch) {
        for outlet in self.errors_outlets() {
            batch.push(&outlet.outbox, self.token_event(outlet, now));
        }
    }

    pub(super) fn token_event(&self, outlet: &Outlet, now: Instant) -> Bytes {
        let id = format!("t{}", self.engine.registry.next_id());
        let seconds = self.lifetime.token_seconds(now);
        let event = format!(r#"{{"type":"token","expiresInSeconds":{seconds}}}"#);
        outlet::single(outlet, ERRORS, &id, &[("content-type", "application/json")], event.as_bytes())
    }
}

/// What a refusal is about, for its headers.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// That the refused frame asked for.
    pub(super) receipt: Option<ByteString>,
    /// The subscription that has ended, or does not begin.
    pub(super) subscription: Option<Ended>,
}

/// A subscription that is none any more.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) name: ByteString,
    pub(super) destination: ByteString,
}

impl About {
    pub(super) fn subscribe(subscribe: &Subscribe, receipt: Option<ByteString>) -> Self {
        let (name, destination) = (subscribe.name().clone(), subscribe.destination.clone());
        Self { receipt, subscription: Some(Ended { name, destination }) }
    }
}

impl From<Option<ByteString>> for About {
    fn from(receipt: Option<ByteString>) -> Self {
        Self { receipt, subscription: None }
    }
}

/// What `/user/queue/errors` says: `title` in a word or two, `text` in a sentence.
pub(super) fn notice(outlet: &Outlet, id: u64, title: &str, text: &str, about: &About) -> Bytes {
    let mut headers = vec![("message", title), ("content-type", "text/plain")];
    headers.extend(about.receipt.as_deref().map(|id| ("receipt-id", id)));
    if let Some(Ended { name, destination }) = &about.subscription {
        headers.extend([("ended-subscription", &**name), ("ended-destination", &**destination)]);
    }
    outlet::single(outlet, ERRORS, &format!("r{id}"), &headers, text.as_bytes())
}

/// The way to answer a client later, from wherever its request was done.
pub(super) struct Reply {
    outbox: Arc<Outbox>,
    errors: Vec<Outlet>,
    /// Names what is told to `errors`.
    id: u64,
}

impl Reply {
    /// RECEIPT, or the refusal.
    pub(super) fn give<E: Into<Refusal>>(
        &self,
        receipt: Option<&ByteString>,
        result: Result<Option<Seq>, E>,
    ) {
        let version = self.outbox.version();
        let refusal = match result {
            Ok(seq) => {
                if let Some(receipt) = receipt {
                    self.outbox.push_for_task(frames::receipt(version, receipt, seq));
                }
                return;
            }
            Err(error) => error.into(),
        };
        let (title, text, about) = (refusal.title(), refusal.to_string(), About::from(receipt.cloned()));
        for outlet in &self.errors {
            self.outbox.push_for_task(notice(outlet, self.id, title, &text, &about));
        }
        if self.errors.is_empty() {
            self.outbox.push_for_task(frames::error(version, title, &text, about.receipt.as_deref()));
            self.outbox.close(refusal.close_reason());
        }
    }
}

/// What becomes of a transaction: one RECEIPT when every part is done, or one refusal.
pub(super) struct Outcome {
    receipt: Option<ByteString>,
    failed: AtomicBool,
    reply: Reply,
    _owed: Owed,
}

impl Outcome {
    pub(super) fn new(receipt: Option<ByteString>, reply: Reply, owed: Owed) -> Self {
        Self { receipt, failed: AtomicBool::new(false), reply, _owed: owed }
    }

    pub(super) fn part<E: Into<Refusal>>(&self, result: Result<(), E>) {
        if let Err(error) = result
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            self.reply.give(self.receipt.as_ref(), Err(error));
        }
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if !self.failed.load(Ordering::Relaxed) {
            self.reply.give::<Refusal>(self.receipt.as_ref(), Ok(None));
        }
    }
}
