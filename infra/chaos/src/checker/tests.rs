//! Each rule, broken once.

mod acknowledged;
mod changes;
mod counts;
mod views;

use super::*;
use crate::{
    person::Ask,
    view::{Seen, View, What},
};

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
    let what = What::Message(Some(format!("text {seq}")));
    Seen { seq, client_id: Some(format!("1-{seq}")), what, at: 0, replay: None }
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
        counts: seqs.iter().map(|seq| (*seq, Some(0))).collect(),
        went_after: None,
        unanswered: 0,
        connections: 1,
    }
}

/// What is complained of when these are the rows, `report` is of one client, and of another who saw what is stored.
fn complaints(rows: &[Row], report: &Report) -> Vec<Violation> {
    let other = self::report(&[]);
    let view = View { seen: rows_seen(rows), ..View::default() };
    let other = Report { name: "client 001".into(), view, ..other };
    check(&Room { number: 7, rows: rows.to_vec(), reports: vec![&other, report], others: Vec::new() })
}

/// The rules that are broken then.
fn broken(rows: &[Row], report: &Report) -> Vec<&'static str> {
    let mut rules: Vec<_> = complaints(rows, report).into_iter().map(|found| found.rule).collect();
    rules.dedup();
    rules
}

/// The one complaint, about `whose`, that names each of these parts.
#[track_caller]
fn expect(found: &[Violation], rule: &str, whose: &str, parts: &[&str]) {
    let [violation] = found else { panic!("one violation: {found:?}") };
    assert_eq!((violation.rule, &*violation.whose), (rule, whose));
    for part in parts {
        assert!(violation.found.contains(part), "{part} in {violation:?}");
    }
}

fn edited(seq: i64, target: i64, content: &str) -> Row {
    Row { kind: Kind::Edited, target: Some(target), content: Some(content.into()), ..row(seq) }
}

fn deleted(seq: i64, target: i64) -> Row {
    Row { kind: Kind::Deleted, target: Some(target), content: None, ..row(seq) }
}

/// As what it is seen by who sees everything as it happens.
fn change(row: &Row) -> Seen {
    let target = row.target.unwrap();
    let what = match row.kind {
        Kind::Edited => What::Edited { target, content: row.content.clone().unwrap_or_default() },
        _ => What::Deleted { target },
    };
    Seen { what, ..seen(row.seq) }
}

fn rows_seen(rows: &[Row]) -> Vec<Seen> {
    let shown = rows.iter().filter(|row| row.kind == Kind::Message);
    shown
        .map(|row| Seen {
            seq: row.seq,
            client_id: row.client_id.clone(),
            what: What::Message(row.content.clone()),
            at: 0,
            replay: None,
        })
        .collect()
}

#[test]
fn what_is_as_it_should_be_breaks_nothing() {
    assert!(broken(&[row(1), row(2), row(5)], &report(&[1, 2, 5])).is_empty());
}

/// Everything as it happened: a message says what it said before its changes.
fn seen_live(rows: &[Row]) -> Vec<Seen> {
    let as_it_was = |row: &Row| match row.kind {
        Kind::Message => seen(row.seq),
        _ => change(row),
    };
    rows.iter().map(as_it_was).collect()
}
