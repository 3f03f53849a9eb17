//! What messages say after edits and deletions.

use super::*;
use crate::view::Gap;

const AS_STORED: &str = "everybody shows a message as it is stored";
const BY_NOW: &str = "what was changed is not shown again as it was";

/// A message that was edited, then one that was deleted; and what a member saw of it as it happened.
fn changed() -> (Vec<Row>, Report) {
    let rows = vec![
        Row { content: Some("new".into()), changed: Some(3), ..row(1) },
        Row { content: None, changed: Some(4), ..row(2) },
        edited(3, 1, "new"),
        deleted(4, 2),
    ];
    let seen = vec![seen(1), seen(2), change(&rows[2]), change(&rows[3])];
    (rows, Report { view: View { seen, ..View::default() }, ..report(&[]) })
}

/// The same member, who was away and got all of it in one replay.
fn replayed() -> (Vec<Row>, Report) {
    let (rows, mut live) = changed();
    live.view.seen[0].what = What::Message(Some("new".into()));
    live.view.seen[1].what = What::Message(None);
    live.view.seen.iter_mut().for_each(|seen| seen.replay = Some(2));
    (rows, live)
}

#[test]
fn changes_that_are_told_break_nothing() {
    for (rows, report) in [changed(), replayed()] {
        assert_eq!(complaints(&rows, &report), []);
    }
}

#[test]
fn an_edit_that_somebody_was_not_told_of_is_found_but_not_what_pages_do_not_tell() {
    let (rows, mut stale) = changed();
    stale.view.seen.remove(2);
    let parts = ["1 shows", "text 1", "stored is Some(\"new\")"];
    expect(&complaints(&rows, &stale), AS_STORED, "client 000", &parts);
    stale.view.gaps.push(Gap { after: 1, to: 4 });
    assert_eq!(complaints(&rows, &stale), []);
}

#[test]
fn a_deleted_message_that_somebody_still_shows_is_found() {
    let (rows, mut stale) = changed();
    stale.view.seen.pop();
    expect(&complaints(&rows, &stale), AS_STORED, "client 000", &["2 shows", "text 2", "stored is None"]);
}

#[test]
fn a_deleted_body_that_is_shown_once_more_is_found() {
    // The deletion comes right behind it: in the end nobody shows it any more.
    let (rows, mut leaked) = replayed();
    leaked.view.seen[1].what = What::Message(Some("text 2".into()));
    expect(&complaints(&rows, &leaked), BY_NOW, "client 000", &["text 2", "Deleted { target: 2 }"]);
    // Nor does an edit tell it.
    let (mut rows, mut leaked) = replayed();
    rows.insert(3, Row { seq: 5, is_covered: true, client_id: None, ..edited(5, 2, "") });
    rows[4].seq = 6;
    rows[1].changed = Some(6);
    leaked.view.seen.insert(3, Seen { replay: Some(2), ..change(&edited(5, 2, "text 2, or rather not")) });
    leaked.view.seen[4].seq = 6;
    rows[4].client_id.clone_from(&leaked.view.seen[4].client_id);
    let found = complaints(&rows, &leaked);
    assert!(found.iter().all(|found| found.rule == BY_NOW && found.whose == "client 000"), "{found:?}");
    assert!(found.iter().any(|found| found.found.contains("text 2, or rather not")), "{found:?}");
    // As it happens it is nobody's fault, nor where the deletion is not in the replay.
    let (rows, mut live) = changed();
    live.view.seen[..2].iter_mut().for_each(|seen| seen.replay = Some(1));
    assert_eq!(complaints(&rows, &live), []);
}

#[test]
fn what_an_edit_replaced_and_is_shown_once_more_is_found() {
    let (rows, mut leaked) = replayed();
    leaked.view.seen[0].what = What::Message(Some("text 1".into()));
    expect(&complaints(&rows, &leaked), BY_NOW, "client 000", &["text 1", "new"]);
}

#[test]
fn a_deleted_body_that_is_still_in_a_row_is_found() {
    // In the message's own.
    let (mut rows, report) = changed();
    rows[1].content = Some("text 2".into());
    let found = complaints(&rows, &report);
    expect(&found, AS_STORED, "client 000", &["2 shows None", "stored is Some(\"text 2\")"]);
    // In the one of an edit before.
    let (mut rows, report) = changed();
    rows[1].changed = Some(5);
    rows[3] = edited(4, 2, "text 2, or rather not");
    rows.push(deleted(5, 2));
    let mut report = Report { view: View { seen: report.view.seen, ..View::default() }, ..report };
    report.view.seen[3] = change(&rows[3]);
    report.view.seen.push(change(&rows[4]));
    let rule = "an edit that was overtaken says nothing";
    expect(&complaints(&rows, &report), rule, "room 7", &["text 2, or rather not", "changed: Some(5)"]);
}
