//! What rooms ask for, done: frames to subscribers, calls to the authority over positions.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use serde::Serialize;
use shared::RoomId;
use tokio::sync::mpsc;

use super::{Deps, Fetched, FetchedContent, Open};
use crate::{
    connection::{Answerable, Batch},
    reading::{Life, Positions, Reading},
    room::{Output, SubscriberId},
    shard::{
        Input,
        outlet::{ReadBody, RecoveredBody, RoomMessage, answerable, number, with_record_headers},
    },
};

/// Between two attempts to fetch a room's positions.
const FETCH_RETRY: Duration = Duration::from_millis(200);

pub(super) fn carry_out(deps: &Deps, open: &mut Open, output: Output, batch: &mut Batch) {
    let room = open.room.id();
    let compress_from = deps.tuning.compress_from;
    match output {
        Output::Record(counted) => with_record_headers(&counted, false, |id, headers, body| {
            let (seq, answerable) = (counted.0.seq, answerable(&counted, false));
            let mut message =
                RoomMessage::new(&open.destinations, id, headers, body, answerable, compress_from);
            for (id, outlet) in &open.outlets {
                message.push(outlet, outlet.mark(*id, seq), batch);
            }
        }),
        Output::Read(ranges) => tell(deps, open, None, &ReadBody::changes(&ranges), batch),
        Output::Reset(steps) => tell(deps, open, None, &ReadBody::reset(steps), batch),
        Output::ResetOf(to, steps) => tell(deps, open, Some(&to), &ReadBody::reset(steps), batch),
        Output::Recovered(to, recovered) => {
            tell(deps, open, Some(&[to]), &RecoveredBody { recovered }, batch);
        }
        Output::History(to, records) => {
            let Some(outlet) = open.outlet(to) else { return };
            for counted in &records {
                let answerable = answerable(counted, true);
                with_record_headers(counted, true, |id, headers, body| {
                    RoomMessage::new(&open.destinations, id, headers, body, answerable, compress_from)
                        .push(outlet, None, batch);
                });
            }
        }
        Output::Past(records) => {
            for (counted, to) in &records {
                let answerable = answerable(counted, false);
                with_record_headers(counted, true, |id, headers, body| {
                    let mut message =
                        RoomMessage::new(&open.destinations, id, headers, body, answerable, compress_from);
                    for (id, outlet) in to.iter().filter_map(|id| Some((id, open.outlet(*id)?))) {
                        // Who leaves before they have taken all of it has read up to there.
                        message.push(outlet, outlet.mark(*id, counted.0.seq), batch);
                    }
                });
            }
        }
        Output::Added(id, stands) => {
            let Some(arriving) = open.arriving.remove(&id) else { return };
            let mut outlet = arriving.outlet;
            if let Some(answer) = outlet.answer.take() {
                // Where the unread messages begin for who opens the room.
                answer.give_subscribed(stands, &outlet.outlet.outbox, batch);
            }
            open.outlets.insert(id, outlet);
        }
        Output::FetchSnapshot => {
            let (reading, answers) = (deps.reading.clone(), deps.answers.clone());
            let known = open.room.version();
            tokio::spawn(fetch(room, known, reading, answers, Arc::downgrade(&open.needed)));
        }
        Output::Enter(user) => deps.reading.enter(room, user),
        Output::Leave { user, taken } => deps.reading.leave(room, user, taken),
        Output::ReadUpTo { user, seq } => deps.reading.read(room, user, seq),
    }
}

/// Asks, for what is missing since `known`, until there is an answer, or nobody is in the room any more.
async fn fetch(
    room: RoomId,
    known: Option<(Life, u64)>,
    reading: Reading,
    answers: mpsc::UnboundedSender<Input>,
    needed: Weak<()>,
) {
    while needed.strong_count() > 0 {
        let answer = match known {
            Some(known) => reading.catch_up(room, known, &needed).await,
            None => reading.snapshot(room, &needed).await.map(Positions::Whole),
        };
        match answer {
            Ok(positions) => {
                let content = FetchedContent::Positions(needed, positions);
                let _ = answers.send(Input::Answer(Fetched { room, content }));
                return;
            }
            Err(_) if needed.strong_count() == 0 => return,
            Err(error) => tracing::warn!(%error, %room, "positions cannot be fetched, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(FETCH_RETRY) => {}
            // The node stops: nobody waits for the answer.
            () = answers.closed() => return,
        }
    }
}

/// Tells an event that is no record, to these subscribers or to all that were added. Its id says behind which record it
/// comes: an ACK of it is one to that.
fn tell(deps: &Deps, open: &mut Open, to: Option<&[SubscriberId]>, body: &impl Serialize, batch: &mut Batch) {
    open.events += 1;
    let head = number(open.room.head());
    let id = format!("{head}.{}", open.events);
    let headers = [("content-type", "application/json")];
    // Numbers and flags: nothing in it can fail to serialise.
    let body = serde_json::to_vec(body).expect("an event is JSON");
    let (answerable, compress_from) = (Answerable::Behind(head), deps.tuning.compress_from);
    let mut message = RoomMessage::new(&open.destinations, &id, &headers, &body, answerable, compress_from);
    match to {
        Some(to) => {
            for outlet in to.iter().filter_map(|id| open.outlet(*id)) {
                message.push(outlet, None, batch);
            }
        }
        None => open.outlets.values().for_each(|outlet| message.push(outlet, None, batch)),
    }
}
