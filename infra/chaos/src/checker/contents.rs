//! What messages say in the end, after edits and deletions.

use std::collections::BTreeMap;

use super::{Findings, Kind, Rows};
use crate::{
    person::{Acknowledged, Ask},
    view::{Seen, View, What},
};

/// A client that applies what it is told shows in the end what is stored.
pub(super) fn as_stored(view: &View, rows: &Rows<'_>, found: &mut Findings) {
    let mut shown: BTreeMap<i64, Option<&str>> = BTreeMap::new();
    for seen in &view.seen {
        match &seen.what {
            What::Message(content) => drop(shown.insert(seen.seq, content.as_deref())),
            What::Membership { .. } => {}
            // A deletion is final.
            What::Edited { target, content } => {
                if let Some(Some(shown)) = shown.get_mut(target) {
                    *shown = content;
                }
            }
            What::Deleted { target } => {
                if let Some(shown) = shown.get_mut(target) {
                    *shown = None;
                }
            }
        }
    }
    for (seq, content) in shown {
        let Some(row) = rows.get(&seq).filter(|row| row.kind == Kind::Message) else { continue };
        // Pages have messages as they are, but do not tell of earlier ones that changed meanwhile.
        let untold = |changed: i64| view.gaps.iter().any(|gap| gap.after < changed && changed <= gap.to);
        if row.content.as_deref() != content && !row.changed.is_some_and(untold) {
            found.add(
                "everybody shows a message as it is stored",
                format!("{seq} shows {content:?}, stored is {:?}, changed by {:?}", row.content, row.changed),
                row.changed,
            );
        }
    }
}

/// A replay has messages as they read by its end, and of a message's changes the last: what was deleted or replaced
/// before it began is not shown once more, not even for the moment until the change comes.
pub(super) fn replays_tell_what_is_so_by_now(view: &View, found: &mut Findings) {
    let mut told: BTreeMap<(u64, i64), &Seen> = BTreeMap::new();
    for seen in &view.seen {
        let Some(replay) = seen.replay else { continue };
        let (target, content) = match &seen.what {
            What::Membership { .. } => continue,
            What::Message(content) => (seen.seq, content.as_ref()),
            What::Edited { target, content } => (*target, Some(content)),
            What::Deleted { target } => (*target, None),
        };
        if let Some(earlier) = told.insert((replay, target), seen) {
            let is_so = match &earlier.what {
                What::Message(shown) => shown.as_ref() == content,
                _ => false,
            };
            if !is_so {
                found.add(
                    "what was changed is not shown again as it was",
                    format!("{earlier:?} came in the same replay as {seen:?}"),
                    Some(seen.seq),
                );
            }
        }
    }
}

/// What an edit said is gone from its row when the message was changed again.
pub(super) fn overtaken_edits_say_nothing(rows: &Rows<'_>, found: &mut Findings) {
    for edit in rows.values().filter(|row| row.kind == Kind::Edited && !row.is_covered) {
        let message = edit.target.and_then(|target| rows.get(&target));
        let changed = message.and_then(|message| message.changed);
        if changed.is_some_and(|changed| changed > edit.seq) {
            found.add("an edit that was overtaken says nothing", format!("{edit:?} of {message:?}"), changed);
        }
    }
}

/// Of all acknowledged changes of a message the deletion, else the last, is what is stored.
pub(super) fn last_change_wins<'a>(
    acknowledged: impl Iterator<Item = &'a Acknowledged>,
    rows: &Rows<'_>,
    found: &mut Findings,
) {
    let mut last: BTreeMap<i64, &Acknowledged> = BTreeMap::new();
    for change in acknowledged {
        let (Ask::Edit { target, .. } | Ask::Delete { target }) = &change.ask else { continue };
        let later = |earlier: &&Acknowledged| {
            !matches!(earlier.ask, Ask::Delete { .. })
                && (matches!(change.ask, Ask::Delete { .. }) || earlier.seq < change.seq)
        };
        if last.get(target).is_none_or(later) {
            last.insert(*target, change);
        }
    }
    for (target, change) in last {
        let Some(row) = rows.get(&target) else { continue };
        let as_asked = match &change.ask {
            Ask::Delete { .. } => row.content.is_none(),
            Ask::Edit { content, .. } => {
                // Another may have reached the log without being acknowledged.
                row.content.as_ref() == Some(content)
                    || row.changed.is_some_and(|changed| changed > change.seq)
            }
            Ask::Say(_) => true,
        };
        if !as_asked {
            let found_row = format!("{change:?} of {target}, where there is {row:?}");
            found.add("the last change of a message is stored", found_row, Some(change.seq));
        }
    }
}
