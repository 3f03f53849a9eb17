//! An open tab: what its client shows, as a client author is told to in `docs/wire.md`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use chat_engine::{
    record::{Record, RecordKind},
    room::ReadRange,
};
use shared::{Seq, UserId};

/// How a subscription was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `/chat/{room}` with `ack:auto`.
    Auto,
    /// `/chatalarm/{room}`.
    Alarm,
    /// `/chat/{room}` with `ack:client`.
    Client,
    /// `/chat/{room}` with `ack:client-individual`.
    Individual,
}

/// What it wants before it is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    History(usize),
    After(Seq),
}

/// On its way to the client.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Record {
        record: Arc<Record>,
        unread: Option<u32>,
        /// Whether the connection knows that it has not been written. It does not look after pages.
        is_marked: bool,
    },
    Read(Vec<ReadRange>),
    Reset(Vec<(Seq, u32)>),
    Recovered(bool),
}

/// What became of a message that the client has to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    None,
    Ack,
    Nack,
}

#[derive(Debug)]
pub(crate) struct Tab {
    pub(crate) member: UserId,
    pub(crate) mode: Mode,
    pub(crate) wants: Wants,
    /// The room has added it.
    pub(crate) live: bool,
    pub(crate) frames: VecDeque<Frame>,
    /// The count of each message, where it is known.
    pub(crate) shown: BTreeMap<Seq, Option<i64>>,
    /// Counts from before the connection was lost, which nobody has put right yet.
    pub(crate) is_stale: bool,
    pub(crate) recovered: Option<bool>,
    /// The place to resume from.
    pub(crate) last: Seq,
    /// Messages to be acknowledged, in order.
    pub(crate) to_answer: Vec<(Seq, Answer)>,
}

/// What a client keeps when its connection is lost.
pub(crate) struct Lost {
    pub(crate) room: usize,
    pub(crate) member: UserId,
    pub(crate) mode: Mode,
    pub(crate) shown: BTreeMap<Seq, Option<i64>>,
    pub(crate) last: Seq,
}

impl Tab {
    pub(crate) fn new(member: UserId, mode: Mode, wants: Wants) -> Self {
        Self {
            member,
            mode,
            wants,
            live: false,
            frames: VecDeque::new(),
            shown: BTreeMap::new(),
            is_stale: false,
            recovered: None,
            last: Seq::ZERO,
            to_answer: Vec::new(),
        }
    }

    pub(crate) fn reads(&self) -> bool {
        self.mode == Mode::Auto
    }

    /// Everything up to there has been written; `None`: everything that there is.
    pub(crate) fn reached(&self) -> Option<Seq> {
        self.frames.iter().find_map(|frame| match frame {
            Frame::Record { record, is_marked: true, .. } => Seq::from_raw(record.seq.get() - 1),
            _ => None,
        })
    }

    /// Whether an older page that was asked for has not come as a whole.
    pub(crate) fn lacks_a_page(&self) -> bool {
        self.frames.iter().any(|frame| matches!(frame, Frame::Record { is_marked: false, .. }))
    }

    /// Takes the next frame. The message that has reached the reader by it, if one has.
    pub(crate) fn take(&mut self) -> Option<Seq> {
        match self.frames.pop_front()? {
            Frame::Record { record, unread, is_marked } => return self.show(&record, unread, is_marked),
            Frame::Read(ranges) => self.read(&ranges),
            Frame::Reset(steps) => self.reset(&steps),
            Frame::Recovered(recovered) => {
                self.recovered = Some(recovered);
                if !recovered {
                    // There is a gap: it begins anew with what comes.
                    self.shown.clear();
                    self.is_stale = false;
                }
            }
        }
        None
    }

    fn show(&mut self, record: &Record, unread: Option<u32>, is_marked: bool) -> Option<Seq> {
        self.last = self.last.max(record.seq);
        if record.draft.kind != RecordKind::Message {
            assert_eq!(unread, None, "only messages are counted");
            return None;
        }
        let repeated = self.shown.insert(record.seq, unread.map(i64::from));
        assert!(!is_marked || repeated.is_none(), "{} came twice", record.seq);
        if is_marked {
            self.to_answer.push((record.seq, Answer::None));
        }
        is_marked.then_some(record.seq)
    }

    fn read(&mut self, changes: &[ReadRange]) {
        for change in changes {
            let those = self.shown.iter_mut().filter(|(seq, _)| change.from < **seq && **seq <= change.to);
            for (_, count) in those {
                *count = count.map(|count| count + i64::from(change.by));
                // Not even between two ranges of a frame.
                assert!(
                    self.is_stale || *count >= Some(0) || count.is_none(),
                    "{change:?} of {changes:?}: {count:?}"
                );
            }
        }
    }

    fn reset(&mut self, steps: &[(Seq, u32)]) {
        self.is_stale = false;
        for (seq, count) in &mut self.shown {
            let step = steps.iter().take_while(|(above, _)| above < seq).last();
            *count = Some(i64::from(step.expect("the first is above everything").1));
        }
    }

    /// The client answers the message at this place among those to be answered. How far it has read by that.
    pub(crate) fn answer(&mut self, at: usize, answer: Answer) -> Option<Seq> {
        let seq = self.to_answer[at].0;
        if self.mode == Mode::Client {
            // Its message and all before it.
            return (answer == Answer::Ack).then_some(seq);
        }
        if self.to_answer[at].1 == Answer::None {
            self.to_answer[at].1 = answer;
        }
        let run = self.to_answer.iter().take_while(|(_, answer)| *answer == Answer::Ack);
        run.last().map(|(seq, _)| *seq)
    }
}
