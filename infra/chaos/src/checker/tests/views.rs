//! What is stored against what each member saw, and in which order.

use super::*;

#[test]
fn a_row_that_is_missing_is_found() {
    let mut shown = report(&[1, 2, 3]);
    shown.acknowledged.remove(1);
    let rule = "nothing is shown that is not stored";
    expect(&complaints(&[row(1), row(3)], &shown), rule, "client 000", &["seq: 2", "text 2"]);
}

#[test]
fn a_row_that_is_there_twice_is_found() {
    let found = complaints(&[row(1), row(2), row(2)], &report(&[1, 2]));
    let rows: Vec<_> = found.into_iter().filter(|found| found.rule == "a seq is stored once").collect();
    expect(&rows, "a seq is stored once", "room 7", &["2 is there twice"]);
}

#[test]
fn a_message_that_is_stored_twice_is_found() {
    let again = Row { client_id: Some("1-1".into()), content: Some("text 1".into()), ..row(2) };
    let mut twice = report(&[1]);
    twice.view.seen.push(Seen { client_id: Some("1-1".into()), ..seen(2) });
    twice.view.seen[1].what = What::Message(Some("text 1".into()));
    let found = complaints(&[row(1), again], &twice);
    let (rows, views): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.whose == "room 7");
    expect(&rows, "a client-id is stored once", "room 7", &["1-1", "at 1 and at 2"]);
    // Both members saw it.
    assert_eq!(views.len(), 2, "{views:?}");
    expect(&views[1..], "a client-id comes once", "client 000", &["1-1", "at 1 and at 2"]);
}

#[test]
fn a_message_that_comes_twice_is_found() {
    let mut twice = report(&[1, 2]);
    twice.view.seen.insert(1, seen(1));
    expect(&complaints(&[row(1), row(2)], &twice), "a record comes once", "client 000", &["seq: 1"]);
}

#[test]
fn an_order_that_is_not_the_others_is_found() {
    let mut turned = report(&[1, 2, 3]);
    turned.view.seen.swap(1, 2);
    let rows = [row(1), row(2), row(3)];
    expect(&complaints(&rows, &turned), "records come in order", "client 000", &["seq: 3", "seq: 2"]);
}

#[test]
fn two_members_who_see_the_same_messages_at_each_others_places_are_found() {
    // Each one's own order is without fault; between them it is not.
    let mut turned = report(&[1, 2, 3]);
    let (second, third) = (turned.view.seen[1].clone(), turned.view.seen[2].clone());
    turned.view.seen[1] = Seen { seq: 2, ..third };
    turned.view.seen[2] = Seen { seq: 3, ..second };
    let found = complaints(&[row(1), row(2), row(3)], &turned);
    let (places, contents): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|found| found.rule == "what is shown is what is stored");
    assert_eq!((places.len(), contents.len()), (2, 2));
    expect(&places[..1], "what is shown is what is stored", "client 000", &["seq: 2", "1-3", "1-2"]);
    expect(&contents[1..], "everybody shows a message as it is stored", "client 000", &["text 2", "text 3"]);
}

#[test]
fn a_record_that_one_member_never_saw_is_found() {
    let mut skipped = report(&[1, 2, 3]);
    skipped.view.seen.remove(1);
    let rule = "every member sees every record";
    let rows = [row(1), row(2), row(3)];
    expect(&complaints(&rows, &skipped), rule, "client 000", &["never saw", "seq: 2"]);
    // Who joined and left is a record as well.
    let rows = [row(1), Row { kind: Kind::Membership, content: None, ..row(2) }, row(3)];
    let rules = complaints(&rows, &report(&[1, 3]));
    assert!(rules.iter().all(|found| found.rule == rule && found.found.contains("Membership")), "{rules:?}");
}

#[test]
fn an_unacknowledged_message_that_only_some_saw_is_found_stored_or_not() {
    let unacknowledged = || Report { acknowledged: Vec::new(), ..report(&[1, 2, 3]) };
    let rows = [row(1), row(2), row(3)];
    // Nobody was told of it, so it may be or not be; but for everybody.
    assert_eq!(complaints(&rows, &unacknowledged()), []);
    let mut missed = unacknowledged();
    missed.view.seen.remove(1);
    expect(&complaints(&rows, &missed), "every member sees every record", "client 000", &["seq: 2"]);
    let rule = "nothing is shown that is not stored";
    expect(&complaints(&[row(1), row(3)], &unacknowledged()), rule, "client 000", &["seq: 2"]);
}

#[test]
fn a_stranger_who_saw_something_is_found() {
    // As the client notes what comes of a room that it never joined, or left long ago.
    let mut strange = report(&[1]);
    strange.view.wrong.push("a message of a room that is not theirs: Frame { .. }".into());
    let rule = "nothing comes that must not";
    expect(&complaints(&[row(1)], &strange), rule, "client 000", &["a room that is not theirs"]);
    // And what comes as if it were of one's own room.
    let mut mixed = report(&[1, 3]);
    mixed.view.seen.insert(1, Seen { client_id: Some("other-2".into()), ..seen(2) });
    let rule = "nothing is shown that is not stored";
    expect(&complaints(&[row(1), row(3)], &mixed), rule, "client 000", &["seq: 2", "other-2"]);
}
