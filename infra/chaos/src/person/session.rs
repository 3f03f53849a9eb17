//! One connection of somebody.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Acknowledged, Ask, Over, Person, Phase, Told, resume::Filling};
use crate::{
    view::Seen,
    wire::{Connection, Ended, Frame},
};

/// How long an answer is waited for: longer than the engine's own waiting for its servers.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a refused frame waits for its next try.
const RETRY: Duration = Duration::from_millis(500);
/// How long after leaving a room messages of it may still come: an engine that is cut off hears of it when the
/// longest fault is over.
const BLIND: Duration = Duration::from_mins(1);
/// How many things are said before the first is acknowledged.
const AT_ONCE: usize = 3;

/// What is known of the connection.
struct State {
    follows: bool,
    asked_at: Instant,
    filling: Option<Filling>,
    /// Since "recovered: false": up to here the stream may tell what is known.
    known: i64,
    act_at: Instant,
    retry_at: Instant,
    /// Refusals come as messages, and the connection lives on.
    hears_errors: bool,
}

impl Person {
    /// Follows the room until something ends it.
    pub(super) async fn session(&mut self, mut connection: Connection) -> Over {
        let now = Instant::now();
        let mut state = State {
            follows: false,
            asked_at: now,
            filling: None,
            known: 0,
            act_at: now + self.pause(),
            retry_at: now,
            hears_errors: self.account.id % 2 == 0,
        };
        let over = self.follow(&mut connection, &mut state).await;
        if let Some(filling) = &state.filling {
            self.end_filling(filling);
        }
        match over {
            Over::Done => {
                self.leave_politely(connection, false).await;
            }
            Over::Away(_) if self.rng.bool() => {
                self.leave_politely(connection, state.filling.is_some()).await;
            }
            Over::Away(_) => connection.vanish(),
            Over::Ended(_) => {}
        }
        over
    }

    /// What still comes is seen, but of what comes while a stretch is missing.
    async fn leave_politely(&mut self, connection: Connection, was_filling: bool) {
        for frame in connection.leave().await {
            match frame.command.as_str() {
                // Whoever has everything goes, answered or not.
                "RECEIPT" if frame.header("receipt-id") == Some("subscribed") => {}
                "RECEIPT" => self.take_receipt(&frame),
                "MESSAGE" => match frame.header("subscription") {
                    Some("chat") => {
                        self.count(&frame);
                        match frame.number("seq").map(|seq| self.parse(seq, &frame)) {
                            Some(Ok(_)) if was_filling => {}
                            Some(Ok(seen)) => self.view.add(seen),
                            Some(Err(error)) => self.wrong(error),
                            None => {}
                        }
                    }
                    Some("errors") => {}
                    _ => self.wrong(format!("a message of a room that is not theirs: {frame:?}")),
                },
                _ => {}
            }
        }
    }

    async fn follow(&mut self, connection: &mut Connection, state: &mut State) -> Over {
        if let Err(ended) = self.subscribe(connection, state.hears_errors).await {
            return Over::Ended(ended);
        }
        let mut phase = self.around.phase.clone();
        loop {
            if state.follows
                && state.retry_at <= Instant::now()
                && let Err(ended) = self.say_what_is_pending(connection).await
            {
                return Over::Ended(ended);
            }
            if self.is_done(state) {
                return Over::Done;
            }
            let oldest = self.pending.iter().filter_map(|pending| pending.sent).min();
            let waiting = (!state.follows || state.filling.is_some()).then_some(state.asked_at);
            let patience = oldest.into_iter().chain(waiting).min().unwrap_or_else(Instant::now) + PATIENCE;
            let retry = self.pending.iter().any(|pending| pending.sent.is_none());
            tokio::select! {
                frame = connection.next() => {
                    let frame = match frame {
                        Ok(frame) => frame,
                        Err(Ended::Refused { message, receipt }) => {
                            self.refused(&message, receipt.as_deref(), state);
                            return Over::Ended(Ended::Refused { message, receipt });
                        }
                        Err(ended) => return Over::Ended(ended),
                    };
                    if let Err(over) = self.take(connection, state, &frame).await {
                        return over;
                    }
                }
                () = sleep_until(state.act_at) => {
                    state.act_at = Instant::now() + self.pause();
                    if let Err(over) = self.act(connection, state).await {
                        return over;
                    }
                }
                () = sleep_until(patience) => return Over::Ended(Ended::Silent),
                () = sleep_until(state.retry_at), if retry && state.follows => {}
                changed = phase.changed() => {
                    // Who left the room comes back to it for the end.
                    if changed.is_err() || (!self.is_member() && !self.is_living()) {
                        return Over::Away(Duration::ZERO);
                    }
                }
            }
        }
    }

    async fn subscribe(&mut self, connection: &mut Connection, hears_errors: bool) -> Result<(), Ended> {
        if hears_errors {
            let headers = [("id", "errors"), ("destination", "/user/queue/errors")];
            connection.send("SUBSCRIBE", &headers, "").await?;
        }
        let (destination, after) = (format!("/chat/{}", self.room), self.view.last().to_string());
        let mut headers = vec![("id", "chat"), ("destination", &*destination), ("receipt", "subscribed")];
        if self.has_followed {
            headers.push(("after", &after));
        }
        connection.send("SUBSCRIBE", &headers, "").await
    }

    /// Lets everybody know how far this one is; `true` when nothing is left to be done.
    fn is_done(&mut self, state: &State) -> bool {
        if !state.follows || state.filling.is_some() || !self.pending.is_empty() {
            return false;
        }
        if self.told < Told::Arrived {
            self.told = Told::Arrived;
            self.around.arrived.add_permits(1);
        }
        let has_seen = |last: &[i64]| self.view.last() >= last[self.room_index];
        let (settling, caught_up, done) = match &*self.around.phase.borrow() {
            Phase::Arrive | Phase::Live => (false, false, false),
            Phase::Settle => (true, false, false),
            Phase::CatchUp(last) => (true, has_seen(last), false),
            Phase::Apart(turn, last) => (true, has_seen(last), has_seen(last) && self.turn == *turn),
            Phase::Count(last) => (true, has_seen(last), has_seen(last) && self.counts_are_right()),
        };
        if settling && self.told < Told::Settled && self.is_back() {
            self.told = Told::Settled;
            self.around.settled.add_permits(1);
        }
        if caught_up && self.told == Told::Settled {
            self.told = Told::CaughtUp;
            self.around.caught_up.add_permits(1);
        }
        done
    }

    async fn take(
        &mut self,
        connection: &mut Connection,
        state: &mut State,
        frame: &Frame,
    ) -> Result<(), Over> {
        match (frame.command.as_str(), frame.header("subscription")) {
            ("MESSAGE", Some("chat")) => self.take_message(connection, state, frame).await?,
            ("MESSAGE", Some("errors")) => {
                let (message, receipt) = (frame.header("message"), frame.header("receipt-id"));
                // What is said there of the token's end has neither.
                if let Some(message) = message {
                    self.refused(message, receipt, state);
                    let is_out = frame.header("ended-subscription") == Some("chat") && self.is_member();
                    if is_out && message == "not a member" {
                        self.wrong("is put out of a room that is theirs".to_owned());
                    }
                    if is_out
                        || receipt == Some("subscribed")
                        || receipt.is_some_and(|id| id.starts_with("page-"))
                    {
                        let (message, receipt) = (message.to_owned(), receipt.map(str::to_owned));
                        return Err(Over::Ended(Ended::Refused { message, receipt }));
                    }
                }
            }
            ("MESSAGE", _) => self.wrong(format!("a message of a room that is not theirs: {frame:?}")),
            ("RECEIPT", _) => match frame.header("receipt-id") {
                Some("subscribed") => (state.follows, self.has_followed) = (true, true),
                Some("foreign") => self.wrong("follows a room that is not theirs".to_owned()),
                Some(id) if id.starts_with("page-") => {
                    if let Some(filling) = state.filling.take() {
                        state.asked_at = Instant::now();
                        state.filling = self.page_is_there(connection, filling, id).await?;
                        state.known = self.view.last();
                    }
                }
                _ => self.take_receipt(frame),
            },
            (other, _) => return Err(Over::Ended(Ended::Nonsense(other.to_owned()))),
        }
        Ok(())
    }

    async fn take_message(
        &mut self,
        connection: &mut Connection,
        state: &mut State,
        frame: &Frame,
    ) -> Result<(), Over> {
        self.count(frame);
        let Some(seq) = frame.number("seq") else {
            if frame.body.contains(r#""type":"recovered""#) && frame.body.contains("false") {
                self.counts.clear();
                state.asked_at = Instant::now();
                state.known = self.view.last();
                state.filling = Some(self.begin_to_fill(connection).await?);
            }
            return Ok(());
        };
        match self.parse(seq, frame) {
            Err(error) => self.wrong(error),
            Ok(seen) => {
                if let Some(left) = self.left_at.filter(|left| left.elapsed() > BLIND) {
                    self.wrong(format!("{seen:?} came {:?} after leaving", left.elapsed()));
                }
                match &mut state.filling {
                    Some(filling) => self.take_while_filling(filling, frame, seen),
                    None if seen.seq <= state.known => self.take_again(seen),
                    None => self.view.add(seen),
                }
            }
        }
        Ok(())
    }

    /// Shows how many have not read what the frame is about.
    fn count(&mut self, frame: &Frame) {
        let counted = match frame.number("seq") {
            Some(seq) if frame.body.contains(r#""type":"message""#) => {
                self.counts.message(seq, frame.number("unread"))
            }
            Some(_) => Ok(()),
            None => self.counts.event(&frame.body),
        };
        if let Err(wrong) = counted {
            self.wrong(wrong);
        }
    }

    fn parse(&self, seq: i64, frame: &Frame) -> Result<Seen, String> {
        let replay = (frame.header("history") == Some("true")).then_some(self.connections);
        Ok(Seen { replay, ..Seen::parse(seq, &frame.body, self.now())? })
    }

    fn take_receipt(&mut self, frame: &Frame) {
        let id = frame.header("receipt-id").unwrap_or_default();
        let Some(index) = self.pending.iter().position(|pending| pending.client_id == id) else {
            return self.wrong(format!("a receipt that nobody asked for: {frame:?}"));
        };
        let Some(seq) = frame.number("seq") else {
            return self.wrong(format!("a receipt without a seq: {frame:?}"));
        };
        // The index was found a moment ago.
        let Some(pending) = self.pending.remove(index) else { return };
        match pending.ask {
            Ask::Say(_) => self.own.push(seq),
            Ask::Delete { target } => drop(self.gone.insert(target)),
            Ask::Edit { .. } => {}
        }
        self.acknowledged.push(Acknowledged { client_id: pending.client_id, seq, ask: pending.ask });
    }

    /// A refusal: whatever was asked is tried again, but for what can never be.
    fn refused(&mut self, message: &str, receipt: Option<&str>, state: &mut State) {
        self.note("refused", message);
        state.retry_at = Instant::now() + RETRY;
        let Some(index) = self.pending.iter().position(|pending| Some(&*pending.client_id) == receipt) else {
            return;
        };
        if message == "message deleted" {
            // A change of what is deleted meanwhile, and its first try's answer was lost.
            self.pending.remove(index);
        } else {
            self.pending[index].sent = None;
        }
    }

    async fn say_what_is_pending(&mut self, connection: &mut Connection) -> Result<(), Ended> {
        for pending in self.pending.iter_mut().filter(|pending| pending.sent.is_none()) {
            let body = |content: &str| serde_json::json!({ "content": content }).to_string();
            let (destination, target, body) = match &pending.ask {
                Ask::Say(content) => ("chat", None, body(content)),
                Ask::Edit { target, content } => ("edit", Some(target.to_string()), body(content)),
                Ask::Delete { target } => ("delete", Some(target.to_string()), String::new()),
            };
            let destination = format!("/app/{destination}/{}", self.room);
            let id = pending.client_id.as_str();
            let mut headers = vec![("destination", &*destination), ("client-id", id), ("receipt", id)];
            if let Some(target) = &target {
                headers.push(("seq", target));
            }
            pending.sent = Some(Instant::now());
            connection.send("SEND", &headers, &body).await?;
        }
        Ok(())
    }

    fn pause(&mut self) -> Duration {
        self.around.pace.mul_f64(0.3 + 1.4 * self.rng.f64())
    }

    /// Does what people do.
    async fn act(&mut self, connection: &mut Connection, state: &State) -> Result<(), Over> {
        if !self.is_living() || !state.follows {
            return Ok(());
        }
        match self.rng.u8(0..100) {
            0..6 => Err(Over::Away(Duration::from_millis(self.rng.u64(0..8_000)))),
            6..8 => Err(Over::Away(Duration::from_millis(self.rng.u64(15_000..30_000)))),
            8..10 if self.is_member() && self.pending.is_empty() => {
                self.leave_room().await;
                Ok(())
            }
            10..12 => {
                let destination = format!("/chat/{}", self.around.foreign_room);
                let headers = [("id", "foreign"), ("destination", &*destination), ("receipt", "foreign")];
                connection.send("SUBSCRIBE", &headers, "").await.map_err(Over::Ended)
            }
            _ if self.is_member() && self.pending.len() < AT_ONCE => {
                self.think_of_something();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
