//! Each rule, broken once.

use super::*;
use crate::view::{Gap, Seen, View, What};

fn row(seq: i64) -> Row {
    Row {
        seq,
        kind: Kind::Message,
        sender: Some(1),
        client_id: Some(format!("1-{seq}")),
        target: None,
        content: Some(format!("text {seq}")),
        changed: None,
        is_covered: false,
    }
}

fn seen(seq: i64) -> Seen {
    Seen { seq, client_id: Some(format!("1-{seq}")), what: What::Message(Some(format!("text {seq}"))), at: 0 }
}

fn said(seq: i64) -> Acknowledged {
    Acknowledged { client_id: format!("1-{seq}"), seq, ask: Ask::Say(format!("text {seq}")) }
}

fn report(seqs: &[i64]) -> Report {
    Report {
        name: "client 000".into(),
        room: 0,
        view: View { seen: seqs.iter().map(|seq| seen(*seq)).collect(), ..View::default() },
        acknowledged: seqs.iter().map(|seq| said(*seq)).collect(),
        unanswered: 0,
        connections: 1,
    }
}

/// The rules that are broken when these are the rows and that is one of two clients.
fn broken(rows: &[Row], report: &Report) -> Vec<&'static str> {
    let other = self::report(&[]);
    let other = Report { view: View { seen: rows_seen(rows), ..View::default() }, ..other };
    let room = Room { number: 7, rows: rows.to_vec(), reports: vec![&other, report], others: Vec::new() };
    let mut rules: Vec<_> =
        check(&room).into_iter().filter(|found| found.whose != "x").map(|found| found.rule).collect();
    rules.dedup();
    rules
}

fn rows_seen(rows: &[Row]) -> Vec<Seen> {
    let shown = rows.iter().filter(|row| row.kind == Kind::Message);
    shown
        .map(|row| Seen {
            seq: row.seq,
            client_id: row.client_id.clone(),
            what: What::Message(row.content.clone()),
            at: 0,
        })
        .collect()
}

#[test]
fn what_is_as_it_should_be_breaks_nothing() {
    assert!(broken(&[row(1), row(2), row(5)], &report(&[1, 2, 5])).is_empty());
}

#[test]
fn a_lost_message_is_found() {
    let mut lost = report(&[1, 2]);
    lost.view.seen.remove(1);
    assert_eq!(broken(&[row(1)], &lost), ["what was acknowledged is stored at its seq"]);
}

#[test]
fn a_skipped_record_is_found() {
    let mut skipped = report(&[1, 2, 3]);
    skipped.view.seen.remove(1);
    assert_eq!(broken(&[row(1), row(2), row(3)], &skipped), ["every member sees every record"]);
}

#[test]
fn a_repeat_is_found_in_rows_and_in_views() {
    let again = Row { client_id: Some("1-1".into()), ..row(2) };
    assert!(broken(&[row(1), again], &report(&[1])).contains(&"a client-id is stored once"));
    let mut twice = report(&[1, 2]);
    twice.view.seen.insert(1, seen(1));
    assert_eq!(broken(&[row(1), row(2)], &twice), ["a record comes once"]);
    let mut twice = report(&[1, 2]);
    twice.view.seen[1].client_id = Some("1-1".into());
    assert!(broken(&[row(1), row(2)], &twice).contains(&"a client-id comes once"));
}

#[test]
fn another_order_is_found() {
    let mut turned = report(&[1, 2, 3]);
    turned.view.seen.swap(1, 2);
    assert_eq!(broken(&[row(1), row(2), row(3)], &turned), ["records come in order"]);
}

#[test]
fn what_was_shown_and_never_stored_is_found() {
    let mut shown = report(&[1, 2, 3]);
    shown.acknowledged.remove(1);
    assert_eq!(broken(&[row(1), row(3)], &shown), ["nothing is shown that is not stored"]);
}

#[test]
fn a_message_that_shows_something_else_is_found_but_not_what_pages_do_not_tell() {
    let edited = Row { content: Some("new".into()), changed: Some(3), ..row(1) };
    let change = Row { kind: Kind::Edited, target: Some(1), content: Some("new".into()), ..row(3) };
    let rows = [edited, row(2), change];
    let mut stale = report(&[1, 2]);
    assert_eq!(broken(&rows, &stale), ["everybody shows a message as it is stored"]);
    stale.view.gaps.push(Gap { after: 1, to: 4 });
    assert!(broken(&rows, &stale).is_empty());
    let mut told = report(&[1, 2]);
    told.view.seen.push(Seen { what: What::Edited { target: 1, content: "new".into() }, ..seen(3) });
    assert!(broken(&rows, &told).is_empty());
}

#[test]
fn an_edit_that_had_no_effect_is_found() {
    let change = Row { kind: Kind::Edited, target: Some(1), ..row(3) };
    let mut ignored = report(&[1]);
    let ask = Ask::Edit { target: 1, content: "new".into() };
    ignored.acknowledged.push(Acknowledged { ask, ..said(3) });
    assert_eq!(broken(&[row(1), change], &ignored), ["the last change of a message is stored"]);
}

#[test]
fn what_the_client_itself_noticed_is_told() {
    let mut wrong = report(&[1]);
    wrong.view.wrong.push("a message of another room".into());
    wrong.unanswered = 1;
    let rules = broken(&[row(1)], &wrong);
    assert_eq!(rules, ["everything is answered in the end", "nothing comes that must not"]);
}
