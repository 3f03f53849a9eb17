//! A broker that acknowledges what it did not do.

use super::*;

const STORED: &str = "what was acknowledged is stored at its seq";

#[test]
fn an_acknowledged_message_that_is_nowhere_is_found() {
    let mut lost = report(&[1, 2]);
    lost.view.seen.remove(1);
    expect(&complaints(&[row(1)], &lost), STORED, "client 000", &["1-2", "at 2", "there is None"]);
}

#[test]
fn so_is_one_of_somebody_who_is_no_client_of_the_run() {
    let (one, rows) = (report(&[1]), vec![row(1)]);
    let room = Room { number: 7, rows, reports: vec![&one], others: vec![said(3)] };
    expect(&check(&room), STORED, "room 7", &["1-3", "at 3"]);
}

#[test]
fn one_acknowledged_behind_the_end_of_the_room_is_found() {
    // The last word is said when everybody has their answers: nothing can be behind it.
    let mut wrong = report(&[1, 2]);
    wrong.acknowledged.push(said(9));
    expect(&complaints(&[row(1), row(2)], &wrong), STORED, "client 000", &["1-9", "at 9"]);
}

#[test]
fn one_acknowledged_with_the_place_of_another_is_found() {
    let mut failed = report(&[1, 2]);
    failed.acknowledged[1].client_id = "1-77".into();
    expect(&complaints(&[row(1), row(2)], &failed), STORED, "client 000", &["1-77", "at 2", "1-2"]);
}

#[test]
fn one_acknowledged_and_stored_with_other_words_is_found() {
    let mut changed = report(&[1]);
    changed.acknowledged[0].ask = Ask::Say("what was said".into());
    expect(&complaints(&[row(1)], &changed), STORED, "client 000", &["what was said", "text 1"]);
}

#[test]
fn changes_acknowledged_and_not_made_are_found() {
    let edit = |content: &str, target| Ask::Edit { target, content: content.into() };
    let rows = [row(1), row(2), edited(3, 2, "text 2"), deleted(4, 2)];
    let rows = rows.map(|row| match row.seq {
        2 => Row { content: None, changed: Some(4), ..row },
        3 => Row { content: None, client_id: None, is_covered: true, ..row },
        _ => row,
    });
    let sound = Report { view: View { seen: seen_live(&rows), ..View::default() }, ..report(&[]) };
    assert_eq!(complaints(&rows, &sound), []);
    let acknowledging = |seq, ask| {
        let acknowledged = vec![Acknowledged { ask, ..said(seq) }];
        let view = sound.view.clone();
        complaints(&rows, &Report { view, acknowledged, ..report(&[]) })
    };
    assert_eq!(acknowledging(3, edit("whatever it said", 2)), []);
    assert_eq!(acknowledging(4, Ask::Delete { target: 2 }), []);
    let found = acknowledging(3, edit("new", 1));
    let (stored, last): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.rule == STORED);
    expect(&stored, STORED, "client 000", &["target: 1", "at 3", "target: Some(2)"]);
    expect(&last, "the last change of a message is stored", "room 7", &["new", "of 1", "text 1"]);
    let found = acknowledging(4, Ask::Delete { target: 1 });
    assert_eq!(found.len(), 2, "{found:?}");
    // A deletion where there is an edit, and the other way round.
    expect(&acknowledging(3, Ask::Delete { target: 2 }), STORED, "client 000", &["Delete", "Edited"]);
    assert_eq!(acknowledging(4, edit("new", 2))[0].rule, STORED);
}

#[test]
fn an_edit_acknowledged_and_without_effect_is_found() {
    let rows = [row(1), edited(3, 1, "new")];
    let mut ignored = report(&[1]);
    let ask = Ask::Edit { target: 1, content: "new".into() };
    ignored.acknowledged.push(Acknowledged { ask, ..said(3) });
    let rule = "the last change of a message is stored";
    expect(&complaints(&rows, &ignored), rule, "room 7", &["new", "of 1", "text 1"]);
}

#[test]
fn what_was_never_answered_is_found() {
    let waiting = Report { unanswered: 2, ..report(&[1]) };
    let rule = "everything is answered in the end";
    expect(&complaints(&[row(1)], &waiting), rule, "client 000", &["2 never were"]);
}
