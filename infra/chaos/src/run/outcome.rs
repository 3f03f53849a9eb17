//! What a run says in the end.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    checker::{Room, Violation},
    cluster::Cluster,
    journal::Journal,
    person::Report,
    schedule::{Fault, Kind},
};

/// How many violations are told in full.
const TOLD: usize = 10;
/// How many lines of the journal come with each.
const CLUES: usize = 30;

/// The verdict, and what it stands on.
#[derive(Debug)]
pub struct Outcome {
    journal: Arc<Journal>,
    faults: BTreeMap<Kind, usize>,
    violations: Vec<Violation>,
    clients: usize,
    connections: u64,
    acknowledged: usize,
    seen: usize,
    gaps: usize,
    rows: usize,
    engines_ended: Vec<String>,
}

impl Outcome {
    pub(super) fn new(
        journal: &Arc<Journal>,
        faults: &[Fault],
        reports: &[Report],
        cluster: &Cluster,
    ) -> Self {
        let mut kinds: BTreeMap<Kind, usize> = Kind::ALL.iter().map(|kind| (*kind, 0)).collect();
        for fault in faults {
            *kinds.entry(fault.kind).or_default() += 1;
        }
        let ended = cluster.engines().iter().flat_map(|engine| {
            let number = engine.number() + 1;
            engine.ended_by_itself().into_iter().map(move |reason| format!("engine {number}: {reason}"))
        });
        Self {
            journal: journal.clone(),
            faults: kinds,
            violations: Vec::new(),
            clients: reports.len(),
            connections: reports.iter().map(|report| report.connections).sum(),
            acknowledged: reports.iter().map(|report| report.acknowledged.len()).sum(),
            seen: reports.iter().map(|report| report.view.seen.len()).sum(),
            gaps: reports.iter().map(|report| report.view.gaps.len()).sum(),
            rows: 0,
            engines_ended: ended.collect(),
        }
    }

    pub(super) fn note_unstored(&mut self) {
        self.violations.push(Violation {
            rule: "everything is stored in the end",
            whose: "the history".to_owned(),
            found: "a room's last message has no row".to_owned(),
            at: None,
        });
    }

    pub(super) fn add(&mut self, room: &Room<'_>, violations: Vec<Violation>) {
        self.rows += room.rows.len();
        self.violations.extend(violations);
    }

    /// Whether every promise was kept and every kind of fault injected.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.faults.values().all(|count| *count > 0) && self.acknowledged > 0
    }

    /// Says it.
    pub fn print(&self) {
        println!("\nfaults:");
        for (kind, count) in &self.faults {
            println!("{count:6}  {kind}{}", if *count == 0 { "  NEVER INJECTED" } else { "" });
        }
        println!("\nwhat happened to clients:");
        for (kind, count) in self.journal.counts() {
            println!("{count:6}  {kind}");
        }
        println!("\nengines that ended by themselves: {}", self.engines_ended.len());
        for reason in self.engines_ended.iter().take(TOLD) {
            println!("        {reason}");
        }
        println!(
            "\n{} clients on {} connections: {} acknowledged, {} rows, {} records seen, {} stretches read as pages",
            self.clients, self.connections, self.acknowledged, self.rows, self.seen, self.gaps
        );
        self.print_violations();
        println!("\nthe journal and the engines' logs are in {}", self.journal.directory().display());
        println!("{}", if self.is_good() { "every promise was kept" } else { "FAILED" });
    }

    fn print_violations(&self) {
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        for violation in &self.violations {
            *rules.entry(violation.rule).or_default() += 1;
        }
        for (rule, count) in rules {
            println!("\nBROKEN {count} times: {rule}");
            let of_rule = self.violations.iter().filter(|violation| violation.rule == rule);
            for violation in of_rule.take(TOLD / 3) {
                println!("  {}: {}", violation.whose, violation.found);
                let around = violation.at.map(|at| self.journal.around(&violation.whose, at, CLUES));
                for line in around.into_iter().flatten() {
                    println!("    {}", line.chars().take(240).collect::<String>());
                }
            }
        }
        for Violation { rule, whose, found, .. } in &self.violations {
            self.journal.note_quietly(&format!("BROKEN {rule}: {whose}: {found}"));
        }
    }
}
