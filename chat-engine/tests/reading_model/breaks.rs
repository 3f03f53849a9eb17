//! The rules that make counts right, each of which can be left out, to see that the model notices. It is the world around
//! the product's code that breaks them, as code without the rule would: the product has no such switches.

use chat_engine::room::{Counted, Output};

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Whoever is sent older messages has their counts without the changes that are still to be told to everybody.
    Pending,
    /// A change speaks only of messages framed before it.
    Bound,
    /// What is answered from history is counted in the room's one order.
    Order,
    /// Nobody falls below where they came from.
    Floor,
    /// An advance counts for who is reading, too.
    Advance,
    /// A change is applied at its version, and once.
    Version,
    /// A call that is made twice changes nothing the second time.
    Repeat,
    /// What a node says that was taken for dead is not heard.
    Stale,
    /// A new life of a room is told who is reading there.
    Reassert,
    /// A checkpoint has only what has reached everybody.
    Checkpoint,
    /// Nobody reads in a life of a room in which their node has not said that it does.
    List,
}

impl Break {
    pub(crate) const ALL: [Self; 11] = [
        Self::Pending,
        Self::Bound,
        Self::Order,
        Self::Floor,
        Self::Advance,
        Self::Version,
        Self::Repeat,
        Self::Stale,
        Self::Reassert,
        Self::Checkpoint,
        Self::List,
    ];

    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub(crate) fn named(name: &str) -> Self {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .unwrap_or_else(|| panic!("{name}: one of {known}"))
    }
}

/// Puts into the counts of older messages what everybody is told later.
pub(crate) fn count_with(told_later: &[Output], out: &mut [Output]) {
    let ranges = told_later.iter().filter_map(|output| match output {
        Output::Read(ranges) => Some(ranges),
        _ => None,
    });
    let ranges: Vec<_> = ranges.flatten().collect();
    let recount = |(record, unread): &mut Counted| {
        let later = ranges.iter().filter(|range| range.from < record.seq && record.seq <= range.to);
        let later: i32 = later.map(|range| range.by).sum();
        *unread = unread.map(|unread| unread.saturating_add_signed(later));
    };
    for output in out {
        match output {
            Output::History(_, records) => records.iter_mut().for_each(recount),
            Output::Past(records) => records.iter_mut().map(|(counted, _)| counted).for_each(recount),
            _ => {}
        }
    }
}
