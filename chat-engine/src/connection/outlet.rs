//! Where a subscription's messages go, and how one message becomes everybody's frame.

use std::sync::Arc;

use bytes::Bytes;
use stomp::{MessageTemplate, Version, session::SharedUnacknowledged};
use websocket::{DataKind, Deflate, FrameBuffer};

use super::{Batch, CloseReason, Mark, Outbox, Outgoing};

/// A subscription's way to its client.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The connection's way out.
    pub outbox: Arc<Outbox>,
    /// The client's name for the subscription, if it has one.
    pub subscription: Option<Arc<str>>,
    /// Where messages wait for ACK, unless it is `ack:auto`.
    pub unacknowledged: Option<SharedUnacknowledged>,
}

/// What an ACK of a message is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answerable {
    /// To this message, which waits for it.
    Awaited(u64),
    /// To this message, which need not be answered.
    Shown(u64),
    /// To what came before: it is no message itself.
    Behind(u64),
}

impl Outlet {
    /// Queues one of `message`'s forms.
    pub(crate) fn push(&self, message: &mut Message<'_>, mark: Option<Mark>, batch: &mut Batch) {
        if let (Some(unacknowledged), Some(answerable)) = (&self.unacknowledged, message.answerable) {
            let mut unacknowledged = unacknowledged.lock();
            match answerable {
                Answerable::Awaited(id) if unacknowledged.deliver(id).is_err() => {
                    self.outbox.close(CloseReason::Unacknowledged);
                    return;
                }
                Answerable::Awaited(_) => {}
                Answerable::Shown(id) => unacknowledged.show(id),
                Answerable::Behind(id) => unacknowledged.tell(id),
            }
        }
        batch.push(&self.outbox, Outgoing { frame: message.frame(self), mark });
    }
}

/// One MESSAGE in the forms that its subscribers need: written once for each version, destination, subscription
/// id, way of acknowledging and compression, of which a room of a thousand people has one or two.
pub(crate) struct Message<'a> {
    destination: &'a str,
    /// Its `message-id`.
    id: &'a str,
    /// What an ACK of it is to, if it can be acknowledged.
    answerable: Option<Answerable>,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    kind: DataKind,
    /// Frames of fewer bytes are not compressed.
    compress_from: usize,
    templates: [Option<MessageTemplate>; 3],
    forms: Vec<(Form, Bytes)>,
}

#[derive(Clone, PartialEq, Eq)]
struct Form {
    version: Version,
    deflate: Option<Deflate>,
    answered: bool,
    subscription: Option<Arc<str>>,
}

/// Forms that are remembered: ids that hardly repeat are not worth it.
const FORMS: usize = 8;

impl<'a> Message<'a> {
    /// A message whose body is UTF-8. `headers` are those besides `subscription`, `destination`, `message-id` and
    /// `ack`.
    pub(crate) fn text(
        destination: &'a str,
        id: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: &'a [u8],
        compress_from: usize,
    ) -> Self {
        Self {
            destination,
            id,
            answerable: None,
            headers,
            body,
            kind: DataKind::Text,
            compress_from,
            templates: [None, None, None],
            forms: Vec::new(),
        }
    }

    /// It can be acknowledged, by its `message-id`.
    pub(crate) fn answerable(mut self, answerable: Answerable) -> Self {
        self.answerable = Some(answerable);
        self
    }

    /// Its body may be anything.
    pub(crate) fn of_any_kind(mut self) -> Self {
        if std::str::from_utf8(self.body).is_err() {
            self.kind = DataKind::Binary;
        }
        self
    }

    fn frame(&mut self, outlet: &Outlet) -> Bytes {
        let (version, deflate) = (outlet.outbox.version(), outlet.outbox.deflate());
        let answered = outlet.unacknowledged.is_some() && self.answerable.is_some();
        let same = |(form, _): &&(Form, Bytes)| {
            form.version == version
                && form.deflate == deflate
                && form.answered == answered
                && form.subscription == outlet.subscription
        };
        if let Some((_, frame)) = self.forms.iter().find(same) {
            return frame.clone();
        }
        let subscription = outlet.subscription.as_deref();
        let answer = answered.then_some(self.id);
        let (destination, id, headers, body) = (self.destination, self.id, self.headers, self.body);
        let template = self.templates[version as usize].get_or_insert_with(|| {
            let own = [("destination", destination), ("message-id", id)];
            MessageTemplate::new(version, own.into_iter().chain(headers.iter().copied()), body)
        });
        let mut out = FrameBuffer::with_capacity(template.capacity(subscription));
        template.write(out.payload_mut(), subscription, answer);
        let frame = finish(out, self.kind, deflate, self.compress_from);
        if self.forms.len() < FORMS {
            let subscription = outlet.subscription.clone();
            self.forms.push((Form { version, deflate, answered, subscription }, frame.clone()));
        }
        frame
    }
}

fn finish(out: FrameBuffer, kind: DataKind, deflate: Option<Deflate>, compress_from: usize) -> Bytes {
    let long = out.payload().len() >= compress_from;
    let compressed = deflate.filter(|_| long).and_then(|deflate| deflate.compress(kind, out.payload()));
    compressed.unwrap_or_else(|| out.finish(kind))
}

/// A MESSAGE for one subscription only.
pub(crate) fn single(
    outlet: &Outlet,
    destination: &str,
    id: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Bytes {
    Message::text(destination, id, headers, body, usize::MAX).frame(outlet)
}
