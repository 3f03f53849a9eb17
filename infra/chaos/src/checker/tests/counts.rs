//! How many have not read what is shown.

use super::*;

const RULE: &str = "everybody shows how many have not read a message";

#[test]
fn a_count_that_nobody_accounts_for_is_found() {
    for wrong in [Some(1), Some(-1), None] {
        let mut shown = report(&[1, 2]);
        shown.counts.insert(2, wrong);
        expect(&complaints(&[row(1), row(2)], &shown), RULE, "client 000", &["2 shows", "0 have not"]);
    }
}

#[test]
fn who_went_is_counted_and_need_not_see_what_came_later() {
    let rows = [row(1), row(2), row(3)];
    let went = Report { name: "client 002".into(), went_after: Some(2), ..report(&[1, 2]) };
    let stays = |unread| {
        let mut stays = report(&[1, 2, 3]);
        stays.counts.insert(3, Some(unread));
        stays
    };
    let of_both = |stays: &Report| {
        check(&Room { number: 7, rows: rows.to_vec(), reports: vec![stays, &went], others: Vec::new() })
    };
    assert_eq!(of_both(&stays(1)), []);
    expect(&of_both(&stays(0)), RULE, "client 000", &["3 shows Some(0)", "1 have not"]);
    let short = Report { went_after: Some(3), ..report(&[1, 2]) };
    let rules = broken(&rows, &short);
    assert_eq!(rules, ["every member sees every record"], "up to where they went");
}
