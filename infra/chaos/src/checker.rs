//! Holds what clients saw and were told against the rows.

mod contents;
mod counts;
mod rows;

use std::collections::BTreeMap;

use crate::person::{Acknowledged, Report};
pub use rows::{Kind, Row, read};

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    /// Whose: a client's name, or the room's.
    pub whose: String,
    /// What was found.
    pub found: String,
    /// About when it happened, in the journal's seconds, as far as anybody saw it.
    pub at: Option<u64>,
}

/// All that is known of a room in the end.
#[derive(Debug)]
pub struct Room<'a> {
    /// Its number.
    pub number: i64,
    /// Its rows in ascending order of seq, up to the last that everybody was waited for.
    pub rows: Vec<Row>,
    /// Those who were in it, from before its first record on.
    pub reports: Vec<&'a Report>,
    /// What was acknowledged to others in it.
    pub others: Vec<Acknowledged>,
}

/// Every broken promise of a room.
pub fn check(room: &Room<'_>) -> Vec<Violation> {
    let everything = room.reports.iter().flat_map(|report| &report.view.seen);
    let times = everything.map(|seen| (seen.seq, seen.at)).collect();
    let mut found = Findings { violations: Vec::new(), whose: format!("room {}", room.number), times };
    let rows = by_seq(room, &mut found);
    each_client_id_once(room, &mut found);
    for report in &room.reports {
        found.whose.clone_from(&report.name);
        acknowledged_is_stored(&report.acknowledged, &rows, &mut found);
        if report.unanswered > 0 {
            found.add("everything is answered in the end", format!("{} never were", report.unanswered), None);
        }
        for wrong in &report.view.wrong {
            found.add("nothing comes that must not", wrong.clone(), None);
        }
        in_order_and_once(report, &mut found);
        the_same_as_stored(report, room, &rows, &mut found);
        contents::as_stored(&report.view, &rows, &mut found);
        contents::replays_tell_what_is_so_by_now(&report.view, &mut found);
    }
    counts::as_nobody_else_has_read(room, &mut found);
    found.whose = format!("room {}", room.number);
    acknowledged_is_stored(&room.others, &rows, &mut found);
    let all = room.reports.iter().flat_map(|report| &report.acknowledged);
    contents::last_change_wins(all, &rows, &mut found);
    contents::overtaken_edits_say_nothing(&rows, &mut found);
    found.violations
}

/// Where violations are gathered.
struct Findings {
    violations: Vec<Violation>,
    whose: String,
    /// When somebody saw each seq.
    times: BTreeMap<i64, u64>,
}

impl Findings {
    /// About the record at `seq`, if it is about one.
    fn add(&mut self, rule: &'static str, found: String, seq: Option<i64>) {
        // The first that anybody saw from there on: what is missing was not seen itself.
        let at = seq.and_then(|seq| self.times.range(seq..).next()).map(|(_, at)| *at);
        self.violations.push(Violation { rule, whose: self.whose.clone(), found, at });
    }
}

type Rows<'a> = BTreeMap<i64, &'a Row>;

fn by_seq<'a>(room: &'a Room<'_>, found: &mut Findings) -> Rows<'a> {
    let mut rows = Rows::new();
    for row in &room.rows {
        if rows.insert(row.seq, row).is_some() {
            found.add("a seq is stored once", format!("{} is there twice", row.seq), Some(row.seq));
        }
    }
    rows
}

fn each_client_id_once(room: &Room<'_>, found: &mut Findings) {
    let mut first: BTreeMap<(Option<i64>, &str), i64> = BTreeMap::new();
    for row in &room.rows {
        let Some(client_id) = &row.client_id else { continue };
        if let Some(earlier) = first.insert((row.sender, client_id), row.seq) {
            found.add(
                "a client-id is stored once",
                format!("{client_id} is at {earlier} and at {}", row.seq),
                Some(row.seq),
            );
        }
    }
}

fn acknowledged_is_stored(acknowledged: &[Acknowledged], rows: &Rows<'_>, found: &mut Findings) {
    for Acknowledged { client_id, seq, ask } in acknowledged {
        let stored = rows.get(seq);
        if !stored.is_some_and(|row| row.is_what(ask, client_id)) {
            found.add(
                "what was acknowledged is stored at its seq",
                format!("{client_id} ({ask:?}) was acknowledged at {seq}, where there is {stored:?}"),
                Some(*seq),
            );
        }
    }
}

fn in_order_and_once(report: &Report, found: &mut Findings) {
    for pair in report.view.seen.windows(2) {
        if pair[0].seq >= pair[1].seq {
            let rule =
                if pair[0].seq == pair[1].seq { "a record comes once" } else { "records come in order" };
            found.add(rule, format!("{:?} came before {:?}", pair[0], pair[1]), Some(pair[1].seq));
        }
    }
    let mut first = BTreeMap::new();
    for seen in report.view.seen.iter().filter(|seen| !seen.is_change()) {
        let Some(client_id) = &seen.client_id else { continue };
        if let Some(earlier) = first.insert(client_id, seen.seq).filter(|earlier| *earlier != seen.seq) {
            found.add(
                "a client-id comes once",
                format!("{client_id} at {earlier} and at {}", seen.seq),
                Some(seen.seq),
            );
        }
    }
}

/// Messages and memberships: all of the room's, and nothing else. Changes: only what is stored.
fn the_same_as_stored(report: &Report, room: &Room<'_>, rows: &Rows<'_>, found: &mut Findings) {
    let last = room.rows.last().map_or(0, |row| row.seq);
    // Who went before the others saw nothing of what came then.
    let last = report.went_after.unwrap_or(last).min(last);
    let mut seen = BTreeMap::new();
    for record in report.view.seen.iter().filter(|record| record.seq <= last) {
        seen.insert(record.seq, record);
        match rows.get(&record.seq) {
            None => found.add("nothing is shown that is not stored", format!("{record:?}"), Some(record.seq)),
            Some(row) if !row.is_of(record) => {
                found.add(
                    "what is shown is what is stored",
                    format!("{record:?}, stored {row:?}"),
                    Some(record.seq),
                );
            }
            Some(_) => {}
        }
    }
    let shown = room.rows.iter().filter(|row| matches!(row.kind, Kind::Message | Kind::Membership));
    for row in shown.filter(|row| row.seq <= last) {
        if !seen.contains_key(&row.seq) {
            found.add("every member sees every record", format!("never saw {row:?}"), Some(row.seq));
        }
    }
}

#[cfg(test)]
mod tests;
