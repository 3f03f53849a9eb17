//! A run from its start to its verdict.

mod closing;
mod outcome;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use moyiza::servers::Store;
pub use outcome::Outcome;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    checker,
    cluster::{self, Cluster},
    journal::Journal,
    person::{Person, Phase, Report, Surroundings},
    schedule,
    world::World,
};

/// How long everybody may take to come, to settle, and to catch up on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long faults come.
    pub length: Duration,
    /// Which faults.
    pub seed: u64,
    /// How many people.
    pub clients: usize,
    /// In how many rooms.
    pub rooms: usize,
    /// On how many engines.
    pub engines: usize,
    /// The mean time between two things that somebody does.
    pub pace: Duration,
    /// Where fetched servers are kept.
    pub store: PathBuf,
    /// Where the journal and the engines' logs go.
    pub out: PathBuf,
}

/// What engines are told here: small memories and little patience, so that their ends are met.
const SETTINGS: [&str; 10] = [
    "--log-partitions",
    "6",
    "--log-timeout-ms",
    "3000",
    "--max-replay",
    "40",
    "--tail-bytes",
    "2000000",
    "--log",
    "info,sqlx=warn,sqlx::postgres::notice=error",
];

/// Runs it.
pub async fn run(options: &Options) -> Result<Outcome> {
    let journal = Arc::new(Journal::new(&options.out, true)?);
    let faults = schedule::plan(options.seed, options.length, options.engines);
    println!("{} faults in {:?}, from seed {}:", faults.len(), options.length, options.seed);
    for fault in &faults {
        println!("  {fault}");
    }
    let store = Store::new(&options.store)?;
    let settings = SETTINGS.map(str::to_owned);
    let binary = cluster::engine_binary()?;
    // One more for whoever joins and leaves.
    let cluster = Cluster::start(&store, &binary, options.engines + 1, &settings, journal.clone()).await?;
    let cluster = Arc::new(cluster);
    let world = World::new(&cluster).await?;
    for engine in &cluster.engines()[..options.engines] {
        engine.start();
    }
    timeout(PATIENCE, cluster.ready()).await.context("the engines were not ready in time")?;
    journal.note("the cluster is ready");
    let outcome = in_front_of(options, &faults, cluster.clone(), world).await;
    if let Some(cluster) = Arc::into_inner(cluster) {
        cluster.stop().await;
    }
    outcome
}

/// Everything that is done to a cluster that runs.
async fn in_front_of(
    options: &Options,
    faults: &[schedule::Fault],
    cluster: Arc<Cluster>,
    world: World,
) -> Result<Outcome> {
    let journal = cluster.journal().clone();
    let closer = world.people(1).await?.remove(0);
    let (phase, phases) = watch::channel(Phase::Arrive);
    let people = world.people(options.clients).await?;
    let (mut rooms, mut sizes) = (Vec::new(), Vec::new());
    for number in 0..options.rooms {
        let mut members: Vec<_> = people.iter().skip(number).step_by(options.rooms).cloned().collect();
        members.push(closer.clone());
        rooms.push(world.room(&members).await?);
        sizes.push(members.len());
    }
    let foreign_room = world.room(std::slice::from_ref(&closer)).await?;
    let around = Arc::new(Surroundings {
        cluster: cluster.clone(),
        world,
        phase: phases,
        pace: options.pace,
        arrived: Semaphore::new(0),
        settled: Semaphore::new(0),
        caught_up: Semaphore::new(0),
        gone: rooms.iter().map(|_| Mutex::default()).collect(),
        went: Semaphore::new(0),
        foreign_room,
    });
    let (enough, stop) = watch::channel(false);
    let mut living = JoinSet::new();
    for (number, account) in people.into_iter().enumerate() {
        let room = number % options.rooms;
        let room = (room, rooms[room], sizes[room]);
        let person = Person::new(number, account, room, options.seed, around.clone());
        living.spawn(person.live(stop.clone()));
    }
    let all = u32::try_from(options.clients)?;
    let arrived = timeout(PATIENCE, around.arrived.acquire_many(all)).await;
    arrived.context("not everybody could follow their room before any fault")??.forget();
    journal.note("everybody is there");

    phase.send_replace(Phase::Live);
    suffer(faults, options.length, &cluster).await?;
    cluster.heal().await;
    timeout(PATIENCE, cluster.ready()).await.context("the engines were not ready after all was healed")?;
    journal.note("the cluster is ready again");

    phase.send_replace(Phase::Settle);
    closing::wait_for(&around.settled, all, "have settled", &journal, PATIENCE).await?;
    let (last, others) = closing::part(&around, &closer, &rooms, &phase, all, PATIENCE).await?;
    phase.send_replace(Phase::Count(last.clone()));
    let rows_are_there = timeout(PATIENCE, closing::stored(around.world.pool(), &rooms, &last)).await.is_ok();
    let reports = gather(living, enough).await?;
    let mut outcome = Outcome::new(&journal, faults, &reports, &cluster);
    if !rows_are_there {
        outcome.note_unstored();
    }
    for (index, room) in rooms.iter().enumerate() {
        let room = checker::Room {
            number: *room,
            rows: checker::read(around.world.pool(), *room, last[index]).await?,
            reports: reports.iter().filter(|report| report.room == index).collect(),
            others: others.iter().map(|said| said[index].clone()).collect(),
        };
        outcome.add(&room, checker::check(&room));
    }
    around.world.pool().close().await;
    Ok(outcome)
}

/// Lets each fault happen at its time; returns when the time is over and the last one has ended.
async fn suffer(faults: &[schedule::Fault], length: Duration, cluster: &Arc<Cluster>) -> Result<()> {
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for fault in faults.iter().copied() {
        let cluster = cluster.clone();
        under_way.spawn(async move {
            sleep_until(began + fault.at).await;
            cluster.suffer(&fault).await.with_context(|| fault.to_string())
        });
    }
    sleep_until(began + length).await;
    while let Some(ended) = under_way.join_next().await {
        ended??;
    }
    Ok(())
}

async fn gather(mut living: JoinSet<Report>, enough: watch::Sender<bool>) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !living.is_empty() {
        tokio::select! {
            report = living.join_next() => match report {
                Some(report) => reports.push(report?),
                None => bail!("nobody is left"),
            },
            () = sleep_until(deadline), if !*enough.borrow() => drop(enough.send_replace(true)),
        }
    }
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}
