//! `docs/stomp-conformance.md`: written from the table and from how the cases ended.

use std::{fmt::Write as _, fs, path::Path};

use crate::requirements::{Document, How, Level, Requirement};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/stomp-conformance.md");

const HEAD: &str = "# Conformance

What STOMP 1.2, 1.1 and 1.0, and of RFC 6455 what matters for a sub-protocol, require of a server (and of clients
where a server can tell), and how the engine meets it. Every \"pass\" is a conversation over a real WebSocket, in
`chat-engine/tests/conformance/`. Written by `cargo test --package chat-engine --test conformance -- --write`; the
same without `--write` fails where this page is not what the run gives.

\"plain\" are sentences that say how it is without a key word of RFC 2119: nearly all of STOMP 1.0, and many later.
";

/// Holds the committed page to this run, or writes it. A case that did not run counts as passed: it was left out
/// by a filter.
pub(crate) fn check(table: &[Requirement], failed: &[String], write: bool) -> Result<(), String> {
    let page = render(table, failed);
    let path = Path::new(PAGE);
    if write {
        return fs::write(path, page).map_err(|error| format!("{PAGE}: {error}"));
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let differs = |(_, (committed, page)): &(usize, (&str, &str))| committed != page;
    match (1..).zip(committed.lines().zip(page.lines())).find(differs) {
        Some((line, (committed, page))) => Err(format!(
            "{PAGE} line {line} is\n{committed}\nand this run gives\n{page}\n(-- --write writes it)"
        )),
        None if committed != page => Err(format!("{PAGE} is shorter or longer than what this run gives")),
        None => Ok(()),
    }
}

fn render(table: &[Requirement], failed: &[String]) -> String {
    let mut page = HEAD.to_owned();
    for document in [Document::Stomp12, Document::Stomp11, Document::Stomp10, Document::Rfc6455] {
        let rows: Vec<_> = table.iter().filter(|row| row.document == document).collect();
        let _ = write!(page, "\n## {}\n\n{}\n", title(document), summary(&rows, failed));
        page += "\n| section | requirement | level | result | test |\n|---|---|---|---|---|\n";
        for row in rows {
            let (result, case) = match (row.how, row.test()) {
                (How::Reason(reason), _) => (reason, String::new()),
                (_, Some(test)) if failed.contains(&test) => ("**FAIL**", format!("`{test}`")),
                (_, named) => ("pass", named.map(|named| format!("`{named}`")).unwrap_or_default()),
            };
            let text = row.text.replace('|', "\\|");
            let _ = writeln!(page, "| {} | {text} | {} | {result} | {case} |", row.section, name(row.level));
        }
    }
    page
}

/// How many there are of each level, and how they ended.
fn summary(rows: &[&Requirement], failed: &[String]) -> String {
    let levels = [Level::Must, Level::MustNot, Level::Should, Level::ShouldNot, Level::May, Level::Plain];
    let counts = levels.into_iter().filter_map(|level| {
        let of_it: Vec<_> = rows.iter().filter(|row| row.level == level).collect();
        let fail = of_it.iter().filter(|row| row.test().is_some_and(|test| failed.contains(&test))).count();
        let reasons = of_it.iter().filter(|row| row.test().is_none()).count();
        let parts = [(of_it.len() - fail - reasons, "pass"), (fail, "FAIL"), (reasons, "with a reason")];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        (!of_it.is_empty()).then(|| format!("{}: {}", name(level), parts.join(", ")))
    });
    counts.collect::<Vec<_>>().join("; ") + "."
}

fn title(document: Document) -> &'static str {
    match document {
        Document::Stomp12 => "[STOMP 1.2](https://stomp.github.io/stomp-specification-1.2.html)",
        Document::Stomp11 => "[STOMP 1.1](https://stomp.github.io/stomp-specification-1.1.html)",
        Document::Stomp10 => "[STOMP 1.0](https://stomp.github.io/stomp-specification-1.0.html)",
        Document::Rfc6455 => "[RFC 6455](https://www.rfc-editor.org/rfc/rfc6455), where STOMP stands on it",
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::MustNot => "MUST NOT",
        Level::Should => "SHOULD",
        Level::ShouldNot => "SHOULD NOT",
        Level::May => "MAY",
        Level::Plain => "plain",
    }
}
