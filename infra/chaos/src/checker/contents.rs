//! What messages say in the end, after edits and deletions.

use std::collections::BTreeMap;

use super::{Findings, Kind, Rows};
use crate::{
    person::{Acknowledged, Ask},
    view::{View, What},
};

/// A client that applies what it is told shows in the end what is stored.
pub(super) fn as_stored(view: &View, rows: &Rows<'_>, found: &mut Findings) {
    let mut shown: BTreeMap<i64, Option<&str>> = BTreeMap::new();
    for seen in &view.seen {
        match &seen.what {
            What::Message(content) => drop(shown.insert(seen.seq, content.as_deref())),
            What::Membership => {}
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
