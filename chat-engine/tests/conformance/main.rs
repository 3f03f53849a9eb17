//! STOMP 1.0, 1.1 and 1.2, and what RFC 6455 asks of a sub-protocol, sentence by sentence, against a running engine.
//!
//! Each requirement is a row of a table in [`requirements`] and names the case in [`cases`] that shows it, or
//! says why there is none. The rows and how their cases ended are `docs/stomp-conformance.md`:
//!
//! ```text
//! cargo test --package chat-engine --test conformance              # the page must be what this run gives
//! cargo test --package chat-engine --test conformance -- --write   # writes the page
//! ```
//!
//! The client is a naive one of its own, so that nothing that the engine believes is believed here too.

mod cases;
mod client;
mod frame;
mod page;
#[path = "../harness/people.rs"]
mod people;
mod requirements;
#[path = "../harness/rooms.rs"]
mod rooms;
#[path = "../harness/settings.rs"]
mod settings;
mod stage;
mod websocket;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::ExitCode,
    sync::{Arc, mpsc},
};

use libtest_mimic::{Arguments, Trial};
use requirements::{Case, How, Requirement};
use shared::testing;
use stage::{Stage, World};

/// Most cases wait for the network or for a heart-beat.
const THREADS: usize = 8;

/// How a case ended.
struct Outcome {
    name: String,
    passed: bool,
}

fn main() -> ExitCode {
    let (write, arguments): (Vec<_>, Vec<_>) = std::env::args().partition(|argument| argument == "--write");
    let mut arguments = Arguments::from_iter(arguments);
    arguments.test_threads.get_or_insert(THREADS);
    let table = requirements::all();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(&table, None, false)).exit_code();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let mut conclusion = None;
    runtime.block_on(testing::with_database(async |pool, _| {
        let (world, engine) = World::start(pool.clone()).await;
        let trials = trials(&table, Some(&Arc::new(world)), !write.is_empty());
        let run = tokio::task::spawn_blocking(move || libtest_mimic::run(&arguments, trials));
        conclusion = Some(run.await.expect("the runner does not panic"));
        engine.stop().await;
    }));
    conclusion.expect("the cases ran").exit_code()
}

/// The cases, and behind them the page, which takes their outcomes.
fn trials(table: &[Requirement], world: Option<&Arc<World>>, write: bool) -> Vec<Trial> {
    let (sender, outcomes) = mpsc::channel();
    let mut trials: Vec<Trial> = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for requirement in table {
        if let How::Case(case) = requirement.how
            && names.insert(requirement.test().expect("it has a case"))
        {
            trials.push(trial(requirement, case, world.cloned(), sender.clone()));
        }
    }
    let table = table.to_vec();
    trials.push(Trial::test("page", move || {
        // Ends when every other case has run, or was left out by a filter and will not.
        let failed: Vec<String> =
            outcomes.iter().filter(|outcome| !outcome.passed).map(|outcome| outcome.name).collect();
        page::check(&table, &failed, write).map_err(Into::into)
    }));
    trials
}

fn trial(
    requirement: &Requirement,
    case: Case,
    world: Option<Arc<World>>,
    outcomes: mpsc::Sender<Outcome>,
) -> Trial {
    let name = requirement.test().expect("it has a case");
    let version = requirement.version;
    Trial::test(name.clone(), move || {
        let world = world.expect("a case runs on an engine");
        let ended = catch_unwind(AssertUnwindSafe(|| (case.run)(&Stage { world, version })));
        let outcome = Outcome { name, passed: ended.is_ok() };
        // Nobody listens where a filter has left the page out.
        let _ = outcomes.send(outcome);
        ended.map_err(|panic| resume_unwind(panic))
    })
}
